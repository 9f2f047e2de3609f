#include "infer/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "infer/sampling.h"
#include "ops/elementwise.h"

namespace reckon {
namespace {

// Rows of logits that one pool task samples: enough work to be worth handing out.
constexpr int64_t kRowsPerTask = 8;

// Requests with the same prompt. They are scheduled one after another, so from the time the first
// is admitted until the last is, some slot holds the prompt's keys and values.
struct Group {
  std::vector<size_t> members;  // request indices
  size_t admitted = 0;
  std::vector<float> prompt_logits;  // of the prompt's last row, once it has been fed
  bool prompt_done() const { return !prompt_logits.empty(); }
};

// A place in the batch, with the cache of the sequence that occupies it. A finished sequence leaves
// its keys and values behind until the slot is given to another.
struct Slot {
  std::unique_ptr<KvCache> cache;
  int64_t group = -1;       // whose prompt the cache begins with, -1: nobody's
  int64_t request = -1;     // -1: free
  bool leader = false;      // feeds the prompt of its group
  int64_t prompt_fed = 0;   // of the prompt, by a leader
  int64_t logits_row = -1;  // of this step's logits; -1: none, or the group's prompt_logits
};

class Generation {
 public:
  Generation(const Runtime& rt, Model& model, const std::vector<GenerateRequest>& requests,
             const GenerateOptions& options);
  std::vector<GenerateResult> Run();

 private:
  const GenerateRequest& request_of(const Slot& slot) const {
    return requests_[static_cast<size_t>(slot.request)];
  }
  GenerateResult& result_of(const Slot& slot) {
    return results_[static_cast<size_t>(slot.request)];
  }
  void CheckRequest(size_t index) const;
  void FormGroups();
  void Admit();
  void AdmitTo(Slot& slot);
  void BeginWithKept(Slot& slot);
  void Keep();
  void MakeBatch();
  void AddPrompt(Slot& slot, int64_t* budget);
  void Forward();
  void SharePrompts();
  void Sample();
  void SampleSlot(const Slot& slot, std::vector<float>& scratch);
  void Collect();
  void Finish(Slot& slot, FinishReason reason);
  void CancelAll();

  const Runtime& rt_;
  Model& model_;
  const std::vector<GenerateRequest>& requests_;
  const GenerateOptions& options_;
  std::vector<GenerateResult> results_;
  std::vector<Group> groups_;
  size_t next_group_ = 0;
  std::vector<Slot> slots_;
  int64_t capacity_ = 0, done_ = 0;

  Batch batch_;
  std::vector<int64_t> logits_rows_;         // rows of the batch whose logits are wanted
  Variable logits_;                          // [logits_rows, vocab_size]
  std::vector<Slot*> sampling_;              // slots that draw a token in this step
  std::vector<std::vector<float>> scratch_;  // one a sampling task
};

Generation::Generation(const Runtime& rt, Model& model,
                       const std::vector<GenerateRequest>& requests, const GenerateOptions& options)
    : rt_(rt), model_(model), requests_(requests), options_(options), results_(requests.size()) {
  if (options.max_batch < 1 || options.prefill_chunk < 1) {
    Throw(
        ErrorKind::kInvalidArgument,
        fmt::format("generation: max_batch is {} and prefill_chunk is {}; both must be at least 1",
                    options.max_batch, options.prefill_chunk));
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    CheckRequest(i);
    const GenerateRequest& request = requests[i];
    capacity_ = std::max(capacity_,
                         static_cast<int64_t>(request.prompt_ids.size()) + request.max_new_tokens);
  }
  Check(options.kept == nullptr || requests.size() == 1,
        "generation: a kept sequence is for one request");
  FormGroups();
  slots_.resize(std::min(static_cast<size_t>(options.max_batch), requests.size()));
  scratch_.resize((slots_.size() + kRowsPerTask - 1) / kRowsPerTask);
}

void Generation::CheckRequest(size_t index) const {
  const GenerateRequest& request = requests_[index];
  CheckSamplingParams(request.sampling);
  const auto prompt = static_cast<int64_t>(request.prompt_ids.size());
  const int64_t limit = model_.config().max_position_embeddings;
  if (prompt == 0) {
    Throw(
        ErrorKind::kInvalidArgument,
        fmt::format("generation: request {} has an empty prompt; give at least one token", index));
  }
  if (request.max_new_tokens < 1) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("generation: request {} has max_new_tokens {}; it must be at least 1", index,
                      request.max_new_tokens));
  }
  if (request.max_new_tokens > limit - prompt) {
    Throw(
        ErrorKind::kInvalidArgument,
        fmt::format("generation: request {} has a prompt of {} tokens and max_new_tokens {}, more "
                    "than the model's max_position_embeddings {}; shorten one of them",
                    index, prompt, request.max_new_tokens, limit));
  }
}

void Generation::FormGroups() {
  std::map<std::vector<int32_t>, size_t> group_of;
  for (size_t i = 0; i < requests_.size(); ++i) {
    const auto [place, added] = group_of.try_emplace(requests_[i].prompt_ids, groups_.size());
    if (added) groups_.emplace_back();
    groups_[place->second].members.push_back(i);
  }
}

std::vector<GenerateResult> Generation::Run() {
  const auto total = static_cast<int64_t>(requests_.size());
  while (done_ < total) {
    if (Interrupted()) {
      CancelAll();
      break;
    }
    Admit();
    MakeBatch();
    Forward();
    SharePrompts();
    Sample();
    Collect();
  }
  if (options_.kept != nullptr) Keep();
  return std::move(results_);
}

// Gives free slots to waiting requests, in the order of the groups.
void Generation::Admit() {
  // A slot that still holds the prompt of the group to be admitted is the cheapest home for it.
  for (Slot& slot : slots_) {
    if (next_group_ == groups_.size()) return;
    if (slot.request < 0 && slot.group == static_cast<int64_t>(next_group_)) AdmitTo(slot);
  }
  for (Slot& slot : slots_) {
    if (next_group_ == groups_.size()) return;
    if (slot.request < 0) AdmitTo(slot);
  }
}

void Generation::AdmitTo(Slot& slot) {
  Group& group = groups_[next_group_];
  const auto group_index = static_cast<int64_t>(next_group_);
  const bool holds_prompt = slot.group == group_index && group.prompt_done();
  slot.request = static_cast<int64_t>(group.members[group.admitted]);
  slot.leader = group.admitted == 0;
  slot.prompt_fed = 0;
  if (options_.kept != nullptr) BeginWithKept(slot);
  if (slot.cache == nullptr) {
    slot.cache = std::make_unique<KvCache>(model_.config(), capacity_);
  }
  const auto prompt = static_cast<int64_t>(request_of(slot).prompt_ids.size());
  slot.cache->Truncate(holds_prompt ? prompt : slot.prompt_fed);
  slot.group = group_index;
  if (++group.admitted == group.members.size()) ++next_group_;
}

// The prompt's last token is always fed: its logits are wanted.
void Generation::BeginWithKept(Slot& slot) {
  KeptSequence kept = std::exchange(*options_.kept, {});
  if (kept.cache == nullptr) return;
  const std::vector<int32_t>& prompt = request_of(slot).prompt_ids;
  const auto differs =
      std::mismatch(prompt.begin(), prompt.end() - 1, kept.token_ids.begin(), kept.token_ids.end());
  const int64_t common = differs.first - prompt.begin();
  if (kept.cache->capacity() >= capacity_) {
    slot.cache = std::move(kept.cache);
  } else {
    slot.cache = std::make_unique<KvCache>(model_.config(), capacity_);
    slot.cache->CopyPrefix(*kept.cache, common);
  }
  slot.prompt_fed = common;
  options_.kept->reused = common;
}

// The last token drawn has not been fed.
void Generation::Keep() {
  if (slots_[0].cache == nullptr) return;  // interrupted before it began
  KeptSequence& kept = *options_.kept;
  kept.cache = std::move(slots_[0].cache);
  kept.token_ids = requests_[0].prompt_ids;
  const std::vector<int32_t>& drawn = results_[0].token_ids;
  kept.token_ids.insert(kept.token_ids.end(), drawn.begin(), drawn.end());
  kept.token_ids.resize(static_cast<size_t>(kept.cache->length()));
}

// One row for each sequence that is being decoded, and as many rows of prompts as fit.
void Generation::MakeBatch() {
  batch_ = Batch();
  logits_rows_.clear();
  sampling_.clear();
  int64_t budget = options_.prefill_chunk;
  for (Slot& slot : slots_) {
    if (slot.request < 0) continue;
    slot.logits_row = -1;
    const std::vector<int32_t>& tokens = result_of(slot).token_ids;
    if (tokens.empty()) {
      if (slot.leader) AddPrompt(slot, &budget);
      continue;
    }
    slot.logits_row = static_cast<int64_t>(logits_rows_.size());
    logits_rows_.push_back(batch_.rows());
    batch_.Append({&tokens.back(), 1}, slot.cache->length(), slot.cache.get());
  }
}

void Generation::AddPrompt(Slot& slot, int64_t* budget) {
  const std::vector<int32_t>& prompt = request_of(slot).prompt_ids;
  const auto length = static_cast<int64_t>(prompt.size());
  const int64_t count = std::min(*budget, length - slot.prompt_fed);
  if (count == 0) return;
  batch_.Append({prompt.data() + slot.prompt_fed, static_cast<size_t>(count)}, slot.prompt_fed,
                slot.cache.get());
  *budget -= count;
  slot.prompt_fed += count;
  if (slot.prompt_fed < length) return;
  slot.logits_row = static_cast<int64_t>(logits_rows_.size());
  logits_rows_.push_back(batch_.rows() - 1);
}

void Generation::Forward() {
  logits_ = Variable();
  if (batch_.rows() == 0) return;
  const Variable hidden = model_.Forward(rt_, nullptr, batch_);
  if (logits_rows_.empty()) return;
  const bool all = static_cast<int64_t>(logits_rows_.size()) == batch_.rows();
  logits_ =
      model_.Logits(rt_, nullptr, all ? hidden : GatherRows(rt_, nullptr, hidden, logits_rows_));
}

// Hands prompts that have just been fed, or were before, to the followers that wait for them, and
// lists the slots that can draw a token.
void Generation::SharePrompts() {
  for (Slot& slot : slots_) {
    if (slot.request < 0 || !slot.leader || slot.logits_row < 0) continue;
    Group& group = groups_[static_cast<size_t>(slot.group)];
    if (group.prompt_done() || group.members.size() == 1) continue;
    const Matrix logits = logits_.value();
    const float* row = logits.row(slot.logits_row);
    group.prompt_logits.assign(row, row + logits.cols);
  }
  std::map<int64_t, const Slot*> donors;  // group to a slot that holds its prompt
  for (const Slot& slot : slots_) {
    if (slot.request < 0 || slot.cache->length() == 0) continue;
    donors.try_emplace(slot.group, &slot);
  }
  std::vector<std::pair<Slot*, const Slot*>> copies;
  for (Slot& slot : slots_) {
    if (slot.request < 0) continue;
    const bool waits = result_of(slot).token_ids.empty() && !slot.leader;
    if (waits && !groups_[static_cast<size_t>(slot.group)].prompt_done()) continue;
    if (!waits && slot.logits_row < 0) continue;
    sampling_.push_back(&slot);
    if (waits && slot.cache->length() == 0) copies.emplace_back(&slot, donors.at(slot.group));
  }
  rt_.pool->ParallelFor(static_cast<int64_t>(copies.size()), [&](int64_t i) {
    const auto& [to, from] = copies[static_cast<size_t>(i)];
    to->cache->CopyPrefix(*from->cache, static_cast<int64_t>(request_of(*to).prompt_ids.size()));
  });
}

void Generation::Sample() {
  const auto count = static_cast<int64_t>(sampling_.size());
  rt_.pool->ParallelFor((count + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task) {
    const int64_t end = std::min(count, (task + 1) * kRowsPerTask);
    for (int64_t i = task * kRowsPerTask; i < end; ++i) {
      SampleSlot(*sampling_[static_cast<size_t>(i)], scratch_[static_cast<size_t>(task)]);
    }
  });
}

void Generation::SampleSlot(const Slot& slot, std::vector<float>& scratch) {
  const GenerateRequest& request = request_of(slot);
  GenerateResult& result = result_of(slot);
  std::span<const float> logits = groups_[static_cast<size_t>(slot.group)].prompt_logits;
  if (slot.logits_row >= 0) {
    const Matrix all = logits_.value();
    logits = {all.row(slot.logits_row), static_cast<size_t>(all.cols)};
  }
  Rng rng(request.seed, {request.stream, static_cast<uint64_t>(result.token_ids.size())});
  const TokenDraw draw = DrawToken(*rt_.kernels, logits, request.sampling, request.prompt_ids,
                                   result.token_ids, rng.Uniform(), scratch);
  result.token_ids.push_back(draw.token);
  result.logprobs.push_back(draw.logprob);
  result.entropy.push_back(draw.entropy);
}

// Reports the new tokens and frees the slots of sequences that are complete.
void Generation::Collect() {
  for (Slot* slot : sampling_) {
    const GenerateRequest& request = request_of(*slot);
    const std::vector<int32_t>& tokens = result_of(*slot).token_ids;
    const int32_t token = tokens.back();
    Group& group = groups_[static_cast<size_t>(slot->group)];
    if (tokens.size() == 1 && group.admitted == group.members.size()) {
      // Every member has drawn its first token, or draws it in this step.
      std::vector<float>().swap(group.prompt_logits);
    }
    const bool wanted = !options_.on_token || options_.on_token(slot->request, token);
    const bool stop = std::find(request.stop_ids.begin(), request.stop_ids.end(), token) !=
                      request.stop_ids.end();
    if (stop) {
      Finish(*slot, FinishReason::kStop);
    } else if (static_cast<int64_t>(tokens.size()) == request.max_new_tokens) {
      Finish(*slot, FinishReason::kLength);
    } else if (!wanted) {
      Finish(*slot, FinishReason::kCancelled);
    }
  }
}

void Generation::Finish(Slot& slot, FinishReason reason) {
  result_of(slot).finish = reason;
  slot.request = -1;
  ++done_;
  if (options_.on_progress) options_.on_progress(done_, static_cast<int64_t>(requests_.size()));
}

// Ctrl-C: what has not finished keeps the tokens it has.
void Generation::CancelAll() {
  for (const Slot& slot : slots_) {
    if (slot.request >= 0)
      results_[static_cast<size_t>(slot.request)].finish = FinishReason::kCancelled;
  }
  for (size_t g = next_group_; g < groups_.size(); ++g) {
    for (size_t i = groups_[g].admitted; i < groups_[g].members.size(); ++i) {
      results_[groups_[g].members[i]].finish = FinishReason::kCancelled;
    }
  }
}

}  // namespace

std::vector<GenerateResult> Generate(const Runtime& rt, Model& model,
                                     const std::vector<GenerateRequest>& requests,
                                     const GenerateOptions& options) {
  return Generation(rt, model, requests, options).Run();
}

}  // namespace reckon
