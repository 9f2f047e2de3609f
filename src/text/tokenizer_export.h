// Tokenizers between the two kinds of model files: a GGUF file's vocabulary as a Hugging Face
// folder's tokenizer.json and tokenizer_config.json, and the other way round.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "formats/gguf.h"
#include "formats/json.h"
#include "text/gguf_vocabulary.h"

namespace reckon {

// A tokenizer.json that gives the ids of FromGgufVocab. "gpt2" becomes byte-level BPE behind the
// cut that `pre` names; "llama" a BPE whose merges are made from the scores as transformers' Llama
// converter makes them. Unused tokens that only pad the end are left out. Throws kUnsupported for
// another model or cut, kCorrupt for lists that contradict each other, beginning with `where`.
Json TokenizerJsonOf(const GgufVocabulary& vocabulary, const std::string& where);

// The tokenizer_config.json beside it: special tokens, what is put around a text, and the template
// where there is one (may be empty).
Json TokenizerConfigOf(const GgufVocabulary& vocabulary, std::string_view chat_template);

// The vocabulary of a Hugging Face folder: its tokenizer.json, or where there is none its
// tokenizer.model, with the special tokens that tokenizer_config.json, special_tokens_map.json,
// generation_config.json and config.json name. Scores, where tokenizer.model lies in the folder,
// are its pieces'; else those of the ranks of the merges. Padded to `vocab_size` as llama.cpp's
// converter does. Nothing where the folder has no tokenizer, or one of a kind that GGUF has no name
// for: WordLevel, Unigram, BPE that is neither byte-level nor SentencePiece's. Throws kUnsupported
// for one of a kind that it has, but with a cut or normalizer that would be lost (NFC before
// byte-level BPE is not in GGUF files and is left out), kCorrupt for one that is larger than
// vocab_size.
std::optional<GgufVocabulary> VocabularyOfFolder(const std::string& folder, int64_t vocab_size);

// Writes the keys tokenizer.ggml.*, which VocabularyOf reads back, and tokenizer.chat_template
// where it is not empty.
void AddVocabulary(const GgufVocabulary& vocabulary, std::string_view chat_template,
                   GgufMetadata* metadata);

}  // namespace reckon
