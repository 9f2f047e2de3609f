#include "text/conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace reckon {
namespace {

using testing::HasSubstr;

const jinja::CivilTime kNoon{2025, 1, 20, 12, 0, 0};

// Keeps reasoning in the last answer only, as R1's and Qwen3's templates do in theirs.
constexpr const char* kDropping =
    "{% for m in messages %}<{{ m.role }}>{{ m.content.split('</think>')[-1] }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant><think>\n{% endif %}";
constexpr const char* kKeeping =
    "{% for m in messages %}<{{ m.role }}>{% if m.reasoning_content %}"
    "<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

std::string PromptOf(const Conversation& conversation, const char* source) {
  return conversation.Prompt(ChatTemplate::FromText(source, "t"), kNoon).text;
}

TEST(Conversation, IsRenderedWithAllItsTurns) {
  Conversation conversation;
  conversation.SetSystem("Be brief.");
  conversation.Ask("1+1?");
  EXPECT_EQ(PromptOf(conversation, kKeeping), "<system>Be brief.<user>1+1?<assistant>");
  conversation.SetAnswer({"one and one", "2"});
  conversation.Ask("and 1 more?");
  EXPECT_EQ(PromptOf(conversation, kKeeping),
            "<system>Be brief.<user>1+1?<assistant><think>one and one</think>2"
            "<user>and 1 more?<assistant>");
  EXPECT_EQ(PromptOf(conversation, kDropping),
            "<system>Be brief.<user>1+1?<assistant>2<user>and 1 more?<assistant><think>\n");
}

TEST(Conversation, SaysWhereTheTurnOfTheAssistantBegins) {
  Conversation conversation;
  conversation.Ask("<think>");
  const ChatPrompt prompt = conversation.Prompt(ChatTemplate::FromText(kDropping, "t"), kNoon);
  EXPECT_EQ(prompt.text.substr(prompt.answer_begin), "<assistant><think>\n");
}

TEST(Conversation, ListsMessagesAndReasoningWhereThereIsSome) {
  Conversation conversation;
  EXPECT_EQ(conversation.Messages(), Json::array());
  conversation.Ask("a");
  conversation.SetAnswer({"", "b"});
  conversation.Ask("c");
  conversation.SetAnswer({"d", "e"});
  conversation.Ask("f");
  EXPECT_EQ(conversation.Messages(), Json::parse(R"([
    {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"},
    {"role": "assistant", "content": "e", "reasoning_content": "d"},
    {"role": "user", "content": "f"}])"));
}

TEST(Conversation, TakesAnAnswerBackAndWithdrawsAMessage) {
  Conversation conversation;
  EXPECT_TRUE(conversation.empty());
  conversation.Ask("a");
  EXPECT_TRUE(conversation.waits());
  conversation.SetAnswer({"r", "b"});
  EXPECT_FALSE(conversation.waits());
  const Answer answer = conversation.TakeAnswer();
  EXPECT_EQ(answer.reasoning, "r");
  EXPECT_EQ(answer.content, "b");
  EXPECT_TRUE(conversation.waits());
  EXPECT_EQ(conversation.question(), "a");
  conversation.Withdraw();
  EXPECT_TRUE(conversation.empty());
}

TEST(Conversation, ClearedKeepsTheSystemMessageOnly) {
  Conversation conversation;
  conversation.SetSystem("s");
  conversation.Ask("a");
  conversation.SetAnswer({"", "b"});
  conversation.Attach("file");
  conversation.Clear();
  EXPECT_FALSE(conversation.has_attachment());
  conversation.Ask("c");
  EXPECT_EQ(PromptOf(conversation, kKeeping), "<system>s<user>c<assistant>");
  conversation.SetSystem("");
  EXPECT_EQ(PromptOf(conversation, kKeeping), "<user>c<assistant>");
}

TEST(Conversation, PutsAttachmentsBeforeTheNextMessageOnly) {
  Conversation conversation;
  conversation.Attach("one");
  conversation.Attach("two");
  EXPECT_TRUE(conversation.has_attachment());
  conversation.Ask("which?");
  EXPECT_EQ(conversation.question(), "one\n\ntwo\n\nwhich?");
  conversation.SetAnswer({"", "x"});
  conversation.Ask("next");
  EXPECT_EQ(conversation.question(), "next");
  conversation.SetAnswer({"", "y"});
  conversation.Attach("alone");
  conversation.Ask("");
  EXPECT_EQ(conversation.question(), "alone");
}

TEST(Conversation, RefusesTextThatIsNotUtf8AndSaysWhere) {
  Conversation conversation;
  const auto message = [](auto work) -> std::string {
    try {
      work();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message([&] { conversation.Ask("ab\xff"); }), HasSubstr("byte 2 (0xff)"));
  EXPECT_THAT(message([&] { conversation.SetSystem("\xc3"); }), HasSubstr("byte 0 (0xc3)"));
  EXPECT_THAT(message([&] { conversation.Attach("\x80"); }), HasSubstr("byte 0 (0x80)"));
  EXPECT_TRUE(conversation.empty());
  EXPECT_FALSE(conversation.has_attachment());
}

}  // namespace
}  // namespace reckon
