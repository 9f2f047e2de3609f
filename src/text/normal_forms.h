// The four normalisation forms of the Unicode standard (UAX #15), with the data of Unicode 9.0:
// those that Hugging Face's tokenizers have, and so the texts that models were trained on.
#pragma once

#include <string>
#include <string_view>

namespace reckon {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// `text` is well-formed UTF-8. Takes O(n log n) steps.
std::string Normalized(std::string_view text, NormalForm form);

}  // namespace reckon
