#include "text/post_processor.h"

#include <fmt/format.h>

#include "text/vocabulary.h"

namespace reckon {
namespace {

int32_t ReadId(const Json& json, const std::string& where) {
  if (!json.is_number_integer() || json.get<int64_t>() < 0 || json.get<int64_t>() > kMaxTokenId) {
    Throw(ErrorKind::kInvalidArgument, where + ": expected a token's id");
  }
  return json.get<int32_t>();
}

const Json& ArrayAt(ObjectReader& reader, const char* key) {
  const Json& list = reader.Get(key);
  if (!list.is_array()) {
    Throw(ErrorKind::kInvalidArgument, reader.PathOf(key) + ": expected an array");
  }
  return list;
}

SpecialFrame ReadTemplate(ObjectReader& reader) {
  SpecialFrame frame;
  const Json& items = ArrayAt(reader, "single");
  const Json* tokens = reader.Find("special_tokens");
  bool text_seen = false;
  for (size_t i = 0; i < items.size(); ++i) {
    ObjectReader item(items[i], fmt::format("{}[{}]", reader.PathOf("single"), i));
    if (item.Has("Sequence")) {
      if (text_seen) Throw(ErrorKind::kUnsupported, item.path() + ": the text occurs twice");
      text_seen = true;
      continue;
    }
    ObjectReader token(item.Get("SpecialToken"), item.PathOf("SpecialToken"));
    const std::string name = token.String("id");
    const std::string where = fmt::format("{}[\"{}\"]", reader.PathOf("special_tokens"), name);
    if (tokens == nullptr || !tokens->is_object() || !tokens->contains(name)) {
      Throw(ErrorKind::kCorrupt, where + ": missing");
    }
    ObjectReader entry((*tokens)[name], where);
    for (const Json& id : ArrayAt(entry, "ids")) {
      (text_seen ? frame.after : frame.before).push_back(ReadId(id, entry.PathOf("ids")));
    }
  }
  if (!text_seen) Throw(ErrorKind::kUnsupported, reader.PathOf("single") + ": lacks the text");
  return frame;
}

// A token as ["[SEP]", 102].
int32_t ReadPair(ObjectReader& reader, const char* key) {
  const Json& pair = ArrayAt(reader, key);
  if (pair.size() != 2) {
    Throw(ErrorKind::kInvalidArgument, reader.PathOf(key) + ": expected a token and its id");
  }
  return ReadId(pair[1], reader.PathOf(key));
}

}  // namespace

SpecialFrame ReadPostProcessor(const Json& json, const std::string& where) {
  SpecialFrame frame;
  if (json.is_null()) return frame;
  ObjectReader reader(json, where);
  const std::string type = reader.String("type");
  if (type == "TemplateProcessing") return ReadTemplate(reader);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    frame.before = {ReadPair(reader, "cls")};
    frame.after = {ReadPair(reader, "sep")};
  } else if (type == "Sequence") {
    const Json& list = ArrayAt(reader, "processors");
    for (size_t i = 0; i < list.size(); ++i) {  // each stands around what the ones before made
      SpecialFrame outer = ReadPostProcessor(list[i], fmt::format("{}.processors[{}]", where, i));
      frame.before.insert(frame.before.begin(), outer.before.begin(), outer.before.end());
      frame.after.insert(frame.after.end(), outer.after.begin(), outer.after.end());
    }
  } else if (type != "ByteLevel") {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: post-processor \"{}\" is not supported (TemplateProcessing, "
                      "BertProcessing, RobertaProcessing, ByteLevel and Sequence are)",
                      where, type));
  }
  return frame;
}

}  // namespace reckon
