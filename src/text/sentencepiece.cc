#include "text/sentencepiece.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "text/tokenizer_parts.h"
#include "text/unigram.h"
#include "text/utf8.h"

namespace reckon {
namespace {

constexpr float kUnknownPenalty = 10;  // of a character without a piece, beyond the worst piece

// The fields of one message of protocol buffers, in order. Each view stays within the message.
class ProtoReader {
 public:
  ProtoReader(std::string_view bytes, const std::string& where) : rest_(bytes), where_(where) {}

  struct Field {
    uint64_t number = 0;
    int wire_type = 0;
    uint64_t value = 0;      // wire types 0 (varint), 1 and 5 (fixed)
    std::string_view bytes;  // wire type 2

    float AsFloat() const { return std::bit_cast<float>(static_cast<uint32_t>(value)); }
  };

  // False at the end.
  bool Next(Field& field) {
    if (rest_.empty()) return false;
    const uint64_t key = Varint();
    field = {key >> 3, static_cast<int>(key & 7), 0, {}};
    switch (field.wire_type) {
      case 0:
        field.value = Varint();
        return true;
      case 1:
        field.value = Fixed(8);
        return true;
      case 2:
        field.bytes = Bytes(Varint());
        return true;
      case 5:
        field.value = Fixed(4);
        return true;
      default:
        Throw(ErrorKind::kCorrupt, fmt::format("{}: field {} has the wire type {}", where_,
                                               field.number, field.wire_type));
    }
  }

 private:
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(Bytes(1)[0]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    Throw(ErrorKind::kCorrupt, where_ + ": a number of more than ten bytes");
  }
  uint64_t Fixed(size_t size) {
    const std::string_view bytes = Bytes(size);
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    }
    return value;
  }
  std::string_view Bytes(uint64_t size) {
    if (size > rest_.size()) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: ends early: {} bytes are asked for and {} are left", where_, size,
                        rest_.size()));
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  std::string_view rest_;
  const std::string& where_;
};

ScoredPiece ReadPiece(std::string_view bytes, const std::string& where) {
  ScoredPiece piece;
  ProtoReader reader(bytes, where);
  for (ProtoReader::Field field; reader.Next(field);) {
    if (field.number == 1) piece.text = field.bytes;
    if (field.number == 2) piece.score = field.AsFloat();
    if (field.number == 3) {
      if (field.value < 1 || field.value > 6) {
        Throw(ErrorKind::kCorrupt, fmt::format("{}: a piece of type {}", where, field.value));
      }
      piece.type = static_cast<PieceType>(field.value);
    }
  }
  if (piece.text.empty() || ValidUtf8Prefix(piece.text).size() != piece.text.size()) {
    Throw(ErrorKind::kCorrupt, where + ": a piece that is empty or not UTF-8");
  }
  return piece;
}

struct TrainerSpec {
  uint64_t model_type = 1;
  std::string bos_piece = "<s>", eos_piece = "</s>";
};

TrainerSpec ReadTrainerSpec(std::string_view bytes, const std::string& where,
                            SentencePieceModel& model) {
  TrainerSpec spec;
  ProtoReader reader(bytes, where);
  for (ProtoReader::Field field; reader.Next(field);) {
    if (field.number == 3) spec.model_type = field.value;
    if (field.number == 24) model.normalizer.whitespace_as_suffix = field.value != 0;
    if (field.number == 35) model.byte_fallback = field.value != 0;
    if (field.number == 44) model.unk_surface = field.bytes;
    if (field.number == 46) spec.bos_piece = field.bytes;
    if (field.number == 47) spec.eos_piece = field.bytes;
  }
  return spec;
}

void ReadNormalizerSpec(std::string_view bytes, const std::string& where,
                        SentencePieceNormalizer& normalizer) {
  ProtoReader reader(bytes, where);
  for (ProtoReader::Field field; reader.Next(field);) {
    if (field.number == 2) normalizer.charsmap = Charsmap::FromBytes(field.bytes, where);
    if (field.number == 3) normalizer.add_dummy_prefix = field.value != 0;
    if (field.number == 4) normalizer.remove_extra_whitespaces = field.value != 0;
    if (field.number == 5) normalizer.escape_whitespaces = field.value != 0;
  }
}

int32_t FindControl(const std::vector<ScoredPiece>& pieces, std::string_view text) {
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].type == PieceType::kControl && pieces[id].text == text) {
      return static_cast<int32_t>(id);
    }
  }
  return -1;
}

}  // namespace

SentencePieceModel ParseSentencePiece(std::string_view bytes, const std::string& where) {
  SentencePieceModel model;
  TrainerSpec trainer;
  ProtoReader reader(bytes, where);
  for (ProtoReader::Field field; reader.Next(field);) {
    if (field.wire_type != 2) continue;
    if (field.number == 1) {
      model.pieces.push_back(
          ReadPiece(field.bytes, fmt::format("{}: piece {}", where, model.pieces.size())));
    }
    if (field.number == 2) trainer = ReadTrainerSpec(field.bytes, where, model);
    if (field.number == 3) ReadNormalizerSpec(field.bytes, where, model.normalizer);
  }
  if (model.pieces.empty()) Throw(ErrorKind::kCorrupt, where + ": has no pieces");
  if (trainer.model_type != 1 && trainer.model_type != 2) {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: SentencePiece models of type {} are not supported (1, unigram, and 2, "
                      "BPE, are)",
                      where, trainer.model_type));
  }
  model.is_unigram = trainer.model_type == 1;
  const auto unknown =
      std::find_if(model.pieces.begin(), model.pieces.end(),
                   [](const ScoredPiece& piece) { return piece.type == PieceType::kUnknown; });
  if (unknown != model.pieces.end()) {
    model.unk_id = static_cast<int32_t>(unknown - model.pieces.begin());
  }
  model.bos_id = FindControl(model.pieces, trainer.bos_piece);
  model.eos_id = FindControl(model.pieces, trainer.eos_piece);
  model.normalizer.user_defined = UserDefinedOf(model.pieces);
  return model;
}

std::unique_ptr<TokenModel> MakePieceModel(const std::vector<ScoredPiece>& pieces, bool is_unigram,
                                           int32_t unk_id, bool byte_fallback,
                                           const std::string& where) {
  if (!is_unigram) {
    return std::make_unique<ScoreBpeModel>(pieces, unk_id, byte_fallback, where);
  }
  float lowest = std::numeric_limits<float>::max(), highest = -lowest;
  for (const ScoredPiece& piece : pieces) {
    if (piece.type != PieceType::kNormal) continue;
    lowest = std::min(lowest, piece.score);
    highest = std::max(highest, piece.score);
  }
  if (lowest > highest) lowest = highest = 0;  // no normal piece
  std::vector<UnigramToken> tokens;
  tokens.reserve(pieces.size());
  for (const ScoredPiece& piece : pieces) {
    // So much that a user-defined piece is always taken.
    const bool always = piece.type == PieceType::kUserDefined;
    const double score =
        always ? static_cast<double>(static_cast<float>(piece.text.size()) * highest) - 0.1
               : double{piece.score};
    tokens.push_back({piece.text, score, always || piece.type == PieceType::kNormal});
  }
  UnigramOptions options;
  options.unk_id = unk_id;
  options.unk_score = lowest - kUnknownPenalty;
  options.byte_fallback = byte_fallback;
  options.float_sums = true;
  return std::make_unique<UnigramModel>(tokens, options, where);
}

Tokenizer MakeTokenizer(SentencePieceModel model, const std::string& where) {
  TokenizerParts parts;
  parts.where = where;
  parts.model =
      MakePieceModel(model.pieces, model.is_unigram, model.unk_id, model.byte_fallback, where);
  const SentencePieceNormalizer& normalizer = model.normalizer;
  const bool strips = normalizer.add_dummy_prefix || normalizer.remove_extra_whitespaces;
  parts.decoder = Decoder::SentencePiece(normalizer.remove_extra_whitespaces
                                             ? std::numeric_limits<int32_t>::max()
                                             : static_cast<int>(strips));
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const ScoredPiece& piece = model.pieces[id];
    if (piece.type != PieceType::kControl) continue;
    parts.added.push_back({.content = piece.text, .id = static_cast<int32_t>(id), .special = true});
    parts.raw_texts.emplace_back(static_cast<int32_t>(id), piece.text);
  }
  if (model.unk_id >= 0) parts.raw_texts.emplace_back(model.unk_id, model.unk_surface);
  parts.bos_id = model.bos_id;
  parts.eos_id = model.eos_id;
  if (model.bos_id >= 0) parts.frame.before = {model.bos_id};
  parts.normalizer = Normalizer::FromSentencePiece(std::move(model.normalizer));
  return Tokenizer(std::move(parts));
}

}  // namespace reckon
