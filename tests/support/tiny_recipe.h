// A recipe that runs in seconds: pre-training on a text, fine-tuning, GRPO with a reference model.
#pragma once

#include <string>

#include "formats/json.h"

namespace reckon {

// Sanitizers make everything some ten times slower; tests do less of the same then.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

// Two layers, one of them with experts, and an MTP module.
Json TinyModel();
// Stages "base", "tuned" and "grpo"; reads "text.txt" beside it.
Json TinyRecipe();
// Writes recipe.json and text.txt; returns the path of the recipe.
std::string WriteTinyRecipe(const std::string& folder, const Json& recipe = TinyRecipe());
// A Hugging Face folder of random weights and a tokenizer of characters.
void WriteTinyModel(const std::string& folder);
// The same with all of printable ASCII, a chat template that asks for reasoning, a long context and
// no end token: an answer goes on until something ends it.
void WriteTinyChatModel(const std::string& folder);

}  // namespace reckon
