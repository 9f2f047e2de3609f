// The model's part of a conversation: prompt, sampling, printing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/answer_printer.h"
#include "cli/session.h"
#include "infer/generate.h"
#include "text/chat_template.h"
#include "text/conversation.h"

namespace reckon {

struct ResponderOptions {
  SamplingParams sampling;
  uint64_t seed = 0;
  int64_t max_new_tokens = 0;
  bool colours = false;
};

struct Response {
  Answer answer;
  FinishReason finish = FinishReason::kStop;
  int64_t tokens = 0, prompt_tokens = 0, reused_tokens = 0;
  double tokens_per_s = 0;  // after the first; 0 where there are no two
};

// The message that waits, by the template, or, where there is none, as the beginning of a text.
struct RenderedPrompt {
  std::vector<int32_t> token_ids;
  bool starts_in_reasoning = false;
};
RenderedPrompt RenderPrompt(const Session& session, const std::optional<ChatTemplate>& chat,
                            const Conversation& conversation);

// All that is handed over must outlive it.
class Responder {
 public:
  Responder(const Session& session, const Runtime& runtime, const std::optional<ChatTemplate>& chat,
            const ResponderOptions& options)
      : session_(session), runtime_(runtime), chat_(chat), options_(options) {}

  bool has_template() const { return chat_.has_value(); }
  // Answers the message that waits, printing as the tokens come; each answer draws anew. Without a
  // template earlier turns do not count.
  Response Respond(const Conversation& conversation);
  // The draws of the first answer again.
  void Restart() { answers_ = 0; }

 private:
  GenerateRequest MakeRequest(std::vector<int32_t> prompt_ids);

  const Session& session_;
  const Runtime& runtime_;
  const std::optional<ChatTemplate>& chat_;
  const ResponderOptions& options_;
  KeptSequence kept_;
  uint64_t answers_ = 0;  // the stream of the next answer
};

}  // namespace reckon
