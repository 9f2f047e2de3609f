// Runs a program: scopes, statements, expressions, calls.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_time.h"
#include "text/jinja_value.h"

namespace reckon::jinja {

struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<int, Value>> variables;  // by symbol
  bool captured = false;                         // by a macro; the runtime keeps it

  void Set(int symbol, Value value);
};

class Runtime {
 public:
  Runtime(const Program& program, const Limits& limits, const CivilTime& now);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Variables are the members of an object; only those that the program names are looked at.
  std::string Render(const Json& variables);
  // Begin and end of each generation block in the text.
  const std::vector<std::pair<size_t, size_t>>& generation() const { return generation_; }
  int line() const { return line_; }  // of what ran last

  // For filters, tests, methods and globals.
  Budget& budget() { return budget_; }
  const CivilTime& now() const { return now_; }
  Value Call(const Value& callee, const Args& args);
  Value CallMacro(const MacroDefinition& macro, const std::shared_ptr<Scope>& scope,
                  const Args& args);
  // A new namespace; the runtime empties it when it ends, for it may hold itself.
  Value MakeNamespace(Dict attributes);
  void KeepLoop(std::shared_ptr<const Object> loop) { loops_.push_back(std::move(loop)); }

 private:
  enum class Flow { kNormal, kBreak, kContinue };
  class Deeper;

  Flow Run(const Body& body);
  Flow RunStatement(const Stmt& stmt);
  Flow RunIf(const Stmt& stmt);
  Flow RunFor(const Stmt& stmt);
  Value LoopItems(const Stmt& stmt);
  void RunSetBlock(const Stmt& stmt);
  void RunCallBlock(const Stmt& stmt);
  Flow RunWith(const Stmt& stmt);
  void RunGeneration(const Stmt& stmt);
  // The output of a body in a scope of its own.
  std::string Captured(const Body& body, Flow& flow);
  void Write(std::string_view text);
  void Assign(const Expr& target, const Value& value);
  void AssignTuple(const Expr& target, const Value& value);

  Value Eval(const Expr& expr);
  Value EvalName(const Expr& expr) const;
  Value EvalDict(const Expr& expr);
  Value EvalSlice(const Expr& expr);
  Value EvalCompare(const Expr& expr);
  Value EvalConcat(const Expr& expr);
  Value EvalConditional(const Expr& expr);
  std::vector<Value> EvalParts(const Expr& expr);
  Args EvalArgs(const Expr& expr);

  Value MakeMacro(const MacroDefinition& definition);
  void BindMacro(const MacroDefinition& macro, const Args& args, Scope& scope);
  std::shared_ptr<Scope> NewScope(std::shared_ptr<Scope> parent);

  const Program& program_;
  Budget budget_;
  CivilTime now_;
  std::shared_ptr<Scope> scope_;
  std::string output_;
  std::string* out_ = &output_;
  const std::string* block_text_ = nullptr;  // what a filter block or a block set filters
  int line_ = 1, depth_ = 0;
  std::vector<std::pair<size_t, size_t>> generation_;
  // What may be part of a cycle of references.
  std::vector<std::shared_ptr<Scope>> captured_;
  std::vector<std::shared_ptr<const Object>> namespaces_, loops_;
};

}  // namespace reckon::jinja
