// A GGUF file's hyper-parameters as a Hugging Face config.json, and back, for the architectures of
// gguf_names.h. The keys are those of gguf-py's constants.py; what they mean, of
// conversion/{base,llama,deepseek}.py in https://github.com/ggml-org/llama.cpp.
#pragma once

#include <vector>

#include "formats/gguf.h"
#include "formats/gguf_names.h"
#include "formats/json.h"

namespace reckon {

// What transformers would read for this model: the head is tied where output.weight is missing, the
// vocabulary is as large as token_embd.weight says, rope_scaling comes from the rope.scaling keys
// or from rope_freqs.weight. Throws naming the file and the key.
Json ConfigFromGguf(const GgufModel& model);

// general.architecture, general.name and the hyper-parameters; file type, tokenizer and template
// are the caller's. Throws kUnsupported on a model_type that GGUF has no architecture for here,
// kInvalidArgument on a missing or ill-typed key, naming it.
GgufMetadata MetadataFromConfig(const Json& config, const std::string& name);

KvBShape KvBShapeOf(const Json& config);
int64_t HeadsOf(RowOrder order, const Json& config);  // of the rows of q or of k

// rope_freqs.weight [head_dim / 2]: what each frequency is divided by under rope_type llama3; empty
// under any other.
std::vector<float> Llama3RopeFactors(const Json& config);

}  // namespace reckon
