// Built where the BSD-licensed libedit is there; line_editor_none.cc elsewhere.

#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <string_view>
#include <utility>

#include "base/interrupt.h"
#include "cli/line_source.h"

namespace reckon {
namespace {

constexpr int kHistoryLines = 1000;

// libedit drops what is no character of the locale, and a container's is often plain C.
void UseUtf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

class LineEditor : public LineSource {
 public:
  explicit LineEditor(std::string history_path)
      : history_path_(std::move(history_path)),
        history_(history_init()),
        editor_(el_init("reckon", stdin, stdout, stderr)) {
    HistEvent event;
    history(history_, &event, H_SETSIZE, kHistoryLines);
    history(history_, &event, H_SETUNIQUE, 1);
    if (!history_path_.empty()) history(history_, &event, H_LOAD, history_path_.c_str());
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_PROMPT, Prompt);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_HIST, history, history_);
    el_set(editor_, EL_SIGNAL, 1);  // gives the terminal back before our own handler is called
    el_set(editor_, EL_GETCFN, ReadCharacter);
    el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_source(editor_, nullptr);  // ~/.editrc
  }
  ~LineEditor() override {
    el_end(editor_);
    history_end(history_);
  }
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  LineEvent Read(const char* prompt, std::string& line) override {
    prompt_ = prompt;
    std::fflush(stdout);
    el_resize(editor_);
    el_set(editor_, EL_PREP_TERM, 1);  // before the prompt invites keys: a Ctrl-D would be lost
    int bytes = 0;
    const char* text = el_gets(editor_, &bytes);
    if (text == nullptr || bytes <= 0) {
      std::fputs("\n", stdout);
      return Interrupted() ? LineEvent::kInterrupted : LineEvent::kEnd;
    }
    line.assign(text, static_cast<size_t>(bytes));
    if (line.ends_with('\n')) line.pop_back();
    if (!line.empty()) Remember(line);
    return LineEvent::kLine;
  }

 private:
  static char* Prompt(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return const_cast<char*>(static_cast<LineEditor*>(self)->prompt_);  // el_prompt's type
  }

  // 1, 0 at the end, -1 after a signal. Bytes that are no character are dropped.
  static int ReadCharacter(EditLine*, wchar_t* character) {
    std::mbstate_t state{};
    while (WaitToRead(STDIN_FILENO)) {
      char byte = 0;
      const ssize_t bytes = ::read(STDIN_FILENO, &byte, 1);
      if (bytes == 0) return 0;
      if (bytes < 0 && errno != EINTR) return -1;
      if (bytes < 0) continue;
      const size_t used = std::mbrtowc(character, &byte, 1, &state);
      if (used == static_cast<size_t>(-1)) state = {};
      if (used <= 1) return 1;
    }
    return -1;
  }

  // Saved at once: a chat may end by a closed window. A history that cannot be saved is no reason
  // to disturb a conversation.
  void Remember(const std::string& line) {
    HistEvent event;
    history(history_, &event, H_ENTER, line.c_str());
    if (history_path_.empty()) return;
    const std::string temporary = history_path_ + ".tmp-" + std::to_string(::getpid());
    if (history(history_, &event, H_SAVE, temporary.c_str()) < 0 ||
        std::rename(temporary.c_str(), history_path_.c_str()) != 0) {
      ::unlink(temporary.c_str());
    }
  }

  std::string history_path_;
  History* history_;
  EditLine* editor_;
  const char* prompt_ = "";
};

}  // namespace

std::unique_ptr<LineSource> OpenLineEditor(const std::string& history_path) {
  const char* term = std::getenv("TERM");
  if (term == nullptr || std::string_view(term) == "dumb") return nullptr;
  UseUtf8();
  return std::make_unique<LineEditor>(history_path);
}

}  // namespace reckon
