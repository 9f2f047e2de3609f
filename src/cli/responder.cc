#include "cli/responder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/error.h"

namespace reckon {

RenderedPrompt RenderPrompt(const Session& session, const std::optional<ChatTemplate>& chat,
                            const Conversation& conversation) {
  if (!chat) return {PromptTokens(session, conversation.question()), false};
  const ChatPrompt prompt = conversation.Prompt(*chat, jinja::LocalNow());
  return {session.tokenizer.Encode(prompt.text), EndsInReasoning(prompt.text, prompt.answer_begin)};
}

GenerateRequest Responder::MakeRequest(std::vector<int32_t> prompt_ids) {
  const auto prompt = static_cast<int64_t>(prompt_ids.size());
  const int64_t room = session_.context() - prompt;
  if (room < 1) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("the conversation takes {} tokens and leaves no room for an answer in the "
                      "model's context of {}; /clear begins a new one",
                      prompt, session_.context()));
  }
  GenerateRequest request;
  request.prompt_ids = std::move(prompt_ids);
  request.max_new_tokens = std::min(options_.max_new_tokens, room);
  request.sampling = options_.sampling;
  request.seed = options_.seed;
  request.stream = answers_++;
  request.stop_ids = session_.stop_ids;
  return request;
}

Response Responder::Respond(const Conversation& conversation) {
  RenderedPrompt prompt = RenderPrompt(session_, chat_, conversation);
  const GenerateRequest request = MakeRequest(std::move(prompt.token_ids));
  AnswerPrinter printer(session_,
                        {chat_.has_value(), prompt.starts_in_reasoning, options_.colours});
  double first_s = 0, last_s = 0;
  GenerateOptions options;
  options.kept = &kept_;
  options.on_token = [&](int64_t, int32_t token) {
    last_s = MonotonicSeconds();
    if (first_s == 0) first_s = last_s;
    printer.Print(token);
    return true;
  };
  const GenerateResult result = Generate(runtime_, *session_.model, {request}, options)[0];
  Response response{printer.End(),
                    result.finish,
                    static_cast<int64_t>(result.token_ids.size()),
                    static_cast<int64_t>(request.prompt_ids.size()),
                    kept_.reused,
                    0};
  if (response.tokens > 1) {
    response.tokens_per_s = static_cast<double>(response.tokens - 1) / (last_s - first_s);
  }
  return response;
}

}  // namespace reckon
