#include "text/jinja_runtime.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_builtins.h"
#include "text/jinja_parser.h"

namespace reckon::jinja {
namespace {

struct Macro : CallableObject {
  const MacroDefinition* definition = nullptr;
  std::shared_ptr<Scope> scope;

  Value Call(Runtime& runtime, const Args& args) const override {
    return runtime.CallMacro(*definition, scope, args);
  }
};

const Value* FindNamed(const Args& args, std::string_view name) {
  for (const auto& [key, value] : args.named) {
    if (key == name) return &value;
  }
  return nullptr;
}

void CheckNamed(const MacroDefinition& macro, const std::string& name) {
  const bool parameter = std::any_of(macro.parameters.begin(), macro.parameters.end(),
                                     [&](const Parameter& p) { return p.name == name; });
  if (parameter || macro.uses_kwargs || (name == "caller" && macro.uses_caller)) return;
  Fail(fmt::format("macro '{}' takes no keyword argument '{}'", macro.name, name));
}

}  // namespace

// Counts nested evaluation while it lives.
class Runtime::Deeper {
 public:
  explicit Deeper(Runtime& runtime) : runtime_(runtime) {
    runtime.budget_.Step();
    if (++runtime.depth_ > runtime.budget_.limits().max_depth) {
      Fail(
          fmt::format("evaluation is nested deeper than {} levels; a macro may call itself "
                      "without end",
                      runtime.budget_.limits().max_depth));
    }
  }
  ~Deeper() { --runtime_.depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  Runtime& runtime_;
};

void Scope::Set(int symbol, Value value) {
  for (auto& [known, old] : variables) {
    if (known == symbol) {
      old = std::move(value);
      return;
    }
  }
  variables.emplace_back(symbol, std::move(value));
}

Runtime::Runtime(const Program& program, const Limits& limits, const CivilTime& now)
    : program_(program), budget_(limits), now_(now), scope_(std::make_shared<Scope>()) {}

// Macros hold scopes, scopes and namespaces hold macros: emptied one by one, nothing is left.
Runtime::~Runtime() {
  for (const auto& scope : captured_) scope->variables.clear();
  for (const auto& object : namespaces_) {
    static_cast<const NamespaceObject&>(*object).attributes.Clear();
  }
  for (const auto& object : loops_) static_cast<const LoopObject&>(*object).last.clear();
}

std::string Runtime::Render(const Json& variables) {
  for (size_t symbol = 0; symbol < program_.symbols.size(); ++symbol) {
    Value global = FindGlobal(program_.symbols[symbol]);
    const auto given = variables.find(program_.symbols[symbol]);
    if (given != variables.end()) global = FromJson(*given, budget_);
    if (!global.is_undefined()) {
      scope_->variables.emplace_back(static_cast<int>(symbol), std::move(global));
    }
  }
  scope_ = NewScope(scope_);
  Run(program_.body);
  return std::move(output_);
}

std::shared_ptr<Scope> Runtime::NewScope(std::shared_ptr<Scope> parent) {
  budget_.Step();
  auto scope = std::make_shared<Scope>();
  scope->parent = std::move(parent);
  return scope;
}

void Runtime::Write(std::string_view text) {
  Append(*out_, text, budget_);
  if (static_cast<int64_t>(out_->size()) > budget_.limits().max_output_bytes) {
    Fail(fmt::format("the text is longer than {} bytes", budget_.limits().max_output_bytes));
  }
}

// ---- statements

Runtime::Flow Runtime::Run(const Body& body) {
  const Deeper deeper(*this);
  for (const Stmt& stmt : body) {
    const Flow flow = RunStatement(stmt);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Runtime::Flow Runtime::RunStatement(const Stmt& stmt) {
  budget_.Step();
  line_ = stmt.line;
  switch (stmt.kind) {
    case StmtKind::kText:
      Write(stmt.text);
      return Flow::kNormal;
    case StmtKind::kOutput: {
      const Value value = Eval(*stmt.expr);
      value.is_string() ? Write(value.text()) : Write(Str(value, budget_));
      return Flow::kNormal;
    }
    case StmtKind::kIf:
      return RunIf(stmt);
    case StmtKind::kFor:
      return RunFor(stmt);
    case StmtKind::kSet:
      Assign(*stmt.target, Eval(*stmt.expr));
      return Flow::kNormal;
    case StmtKind::kSetBlock:
    case StmtKind::kFilterBlock:
      RunSetBlock(stmt);
      return Flow::kNormal;
    case StmtKind::kMacro:
      scope_->Set(stmt.symbol, MakeMacro(*stmt.macro));
      return Flow::kNormal;
    case StmtKind::kCallBlock:
      RunCallBlock(stmt);
      return Flow::kNormal;
    case StmtKind::kWith:
      return RunWith(stmt);
    case StmtKind::kGeneration:
      RunGeneration(stmt);
      return Flow::kNormal;
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Runtime::Flow Runtime::RunIf(const Stmt& stmt) {
  for (const auto& [condition, body] : stmt.branches) {
    if (Truth(Eval(*condition))) return Run(body);
  }
  return Run(stmt.else_body);
}

// What is looped over, the loop's own condition applied: a sequence, shared where it can be.
Value Runtime::LoopItems(const Stmt& stmt) {
  const Value looped = Eval(*stmt.expr);
  const bool shared = looped.is_sequence() && !looped.is(Kind::kGenerator);
  Value sequence = shared ? looped : Value::List(Iterate(looped, budget_));
  if (stmt.condition == nullptr) return sequence;
  const std::shared_ptr<Scope> outer = scope_;
  std::vector<Value> kept;
  for (const Value& item : sequence.items()) {
    scope_ = NewScope(outer);
    Assign(*stmt.target, item);
    if (!Truth(Eval(*stmt.condition))) continue;
    budget_.Bytes(sizeof(Value));
    kept.push_back(item);
  }
  scope_ = outer;
  return Value::List(std::move(kept));
}

Runtime::Flow Runtime::RunFor(const Stmt& stmt) {
  const std::shared_ptr<Scope> outer = scope_;
  auto loop = std::make_shared<LoopObject>(LoopItems(stmt));
  const std::vector<Value>& items = loop->items();
  loop->depth = loop->sequence.depth() + 1;
  if (loop->depth > kMaxValueDepth + 1) Fail("the items of a loop are nested too deep");
  const Value loop_value = Value::Of(Kind::kLoop, loop);
  for (size_t i = 0; i < items.size(); ++i) {
    loop->index = i;
    scope_ = NewScope(outer);
    Assign(*stmt.target, items[i]);
    scope_->Set(kSymbolLoop, loop_value);
    if (Run(stmt.body) == Flow::kBreak) break;
  }
  Flow flow = Flow::kNormal;
  if (items.empty()) {
    scope_ = NewScope(outer);
    flow = Run(stmt.else_body);
  }
  scope_ = outer;
  return flow;
}

std::string Runtime::Captured(const Body& body, Flow& flow) {
  const std::shared_ptr<Scope> outer = scope_;
  std::string text;
  std::string* const out = std::exchange(out_, &text);
  scope_ = NewScope(outer);
  flow = Run(body);
  scope_ = outer;
  out_ = out;
  return text;
}

void Runtime::RunSetBlock(const Stmt& stmt) {
  Flow flow = Flow::kNormal;
  const std::string text = Captured(stmt.body, flow);
  const std::string* const before = std::exchange(block_text_, &text);
  const Value value = Eval(*stmt.expr);
  block_text_ = before;
  if (stmt.kind == StmtKind::kSetBlock) {
    Assign(*stmt.target, value);
  } else {
    Write(Str(value, budget_));
  }
}

void Runtime::RunCallBlock(const Stmt& stmt) {
  const Value callee = Eval(*stmt.expr->parts[0]);
  Args args = EvalArgs(*stmt.expr);
  if (FindNamed(args, "caller") != nullptr) Fail("a call block passes \"caller\" twice");
  args.named.emplace_back("caller", MakeMacro(*stmt.macro));
  line_ = stmt.line;
  Write(Str(Call(callee, args), budget_));
}

Runtime::Flow Runtime::RunWith(const Stmt& stmt) {
  std::vector<Value> values;
  for (const auto& binding : stmt.bindings) values.push_back(Eval(*binding.second));
  const std::shared_ptr<Scope> outer = scope_;
  scope_ = NewScope(outer);
  for (size_t i = 0; i < values.size(); ++i) Assign(*stmt.bindings[i].first, values[i]);
  const Flow flow = Run(stmt.body);
  scope_ = outer;
  return flow;
}

void Runtime::RunGeneration(const Stmt& stmt) {
  Flow flow = Flow::kNormal;
  const std::string text = Captured(stmt.body, flow);
  const size_t begin = out_->size();
  Write(text);
  if (out_ == &output_) generation_.emplace_back(begin, out_->size());
}

void Runtime::Assign(const Expr& target, const Value& value) {
  if (target.kind == ExprKind::kName) {
    scope_->Set(target.symbol, value);
  } else if (target.kind == ExprKind::kTuple) {
    AssignTuple(target, value);
  } else {
    Expr name;
    name.symbol = target.symbol;
    const Value object = EvalName(name);
    if (!object.is(Kind::kNamespace)) Fail("cannot assign attribute on non-namespace object");
    object.object<NamespaceObject>().attributes.Set(Value::String(target.name), value, budget_);
  }
}

void Runtime::AssignTuple(const Expr& target, const Value& value) {
  if (!value.is_undefined() && !value.is_string() && !value.is_dict() && !value.is_sequence()) {
    Fail(fmt::format("cannot unpack non-iterable {} object", TypeName(value)));
  }
  const std::vector<Value> items = Iterate(value, budget_);
  if (items.size() != target.parts.size()) {
    Fail(fmt::format("cannot unpack {} values into {} names", items.size(), target.parts.size()));
  }
  for (size_t i = 0; i < items.size(); ++i) Assign(*target.parts[i], items[i]);
}

// ---- expressions

Value Runtime::Eval(const Expr& expr) {
  const Deeper deeper(*this);
  line_ = expr.line;
  switch (expr.kind) {
    case ExprKind::kConst:
      return expr.value;
    case ExprKind::kName:
      return EvalName(expr);
    case ExprKind::kList:
      return Value::List(EvalParts(expr));
    case ExprKind::kTuple:
      return Value::Tuple(EvalParts(expr));
    case ExprKind::kDict:
      return EvalDict(expr);
    case ExprKind::kAttribute:
      return GetAttribute(Eval(*expr.parts[0]), expr.name, *this);
    case ExprKind::kItem: {
      const Value object = Eval(*expr.parts[0]);
      return GetItem(object, Eval(*expr.parts[1]), *this);
    }
    case ExprKind::kSlice:
      return EvalSlice(expr);
    case ExprKind::kCall: {
      const Value callee = Eval(*expr.parts[0]);
      const Args args = EvalArgs(expr);
      line_ = expr.line;
      return Call(callee, args);
    }
    case ExprKind::kFilter: {
      const Value input = Eval(*expr.parts[0]);
      const Args args = EvalArgs(expr);
      line_ = expr.line;
      return ApplyFilter(expr.name, input, args, *this);
    }
    case ExprKind::kTest: {
      const Value input = Eval(*expr.parts[0]);
      return Value::Bool(ApplyTest(expr.name, input, EvalArgs(expr), *this) != expr.negated);
    }
    case ExprKind::kNegative:
      return Negative(Eval(*expr.parts[0]));
    case ExprKind::kPositive:
      return Positive(Eval(*expr.parts[0]));
    case ExprKind::kNot:
      return Value::Bool(!Truth(Eval(*expr.parts[0])));
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      const Value left = Eval(*expr.parts[0]);
      return Truth(left) == (expr.kind == ExprKind::kOr) ? left : Eval(*expr.parts[1]);
    }
    case ExprKind::kBinary: {
      const Value left = Eval(*expr.parts[0]);
      const Value right = Eval(*expr.parts[1]);
      line_ = expr.line;
      return ApplyOperator(expr.ops[0], left, right, budget_);
    }
    case ExprKind::kCompare:
      return EvalCompare(expr);
    case ExprKind::kConcat:
      return EvalConcat(expr);
    case ExprKind::kConditional:
      return EvalConditional(expr);
    case ExprKind::kBlockText:
      budget_.Bytes(block_text_->size());
      return Value::String(*block_text_);
  }
  return Value();
}

Value Runtime::EvalName(const Expr& expr) const {
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
    for (const auto& [symbol, value] : scope->variables) {
      if (symbol == expr.symbol) return value;
    }
  }
  return Value::Undefined(
      fmt::format("'{}' is undefined", program_.symbols[static_cast<size_t>(expr.symbol)]));
}

std::vector<Value> Runtime::EvalParts(const Expr& expr) {
  budget_.Bytes(expr.parts.size() * sizeof(Value));
  std::vector<Value> items;
  items.reserve(expr.parts.size());
  for (const ExprPtr& part : expr.parts) items.push_back(Eval(*part));
  return items;
}

Value Runtime::EvalDict(const Expr& expr) {
  Dict dict;
  for (size_t i = 0; i + 1 < expr.parts.size(); i += 2) {
    const Value key = Eval(*expr.parts[i]);
    dict.Set(key, Eval(*expr.parts[i + 1]), budget_);
  }
  return MakeDict(std::move(dict));
}

Value Runtime::EvalSlice(const Expr& expr) {
  const Value object = Eval(*expr.parts[0]);
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (expr.parts[i + 1] != nullptr) bounds[i] = Eval(*expr.parts[i + 1]);
  }
  return GetSlice(object, bounds[0], bounds[1], bounds[2], *this);
}

Value Runtime::EvalCompare(const Expr& expr) {
  Value left = Eval(*expr.parts[0]);
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    Value right = Eval(*expr.parts[i + 1]);
    line_ = expr.line;
    if (!ApplyComparison(expr.ops[i], left, right, budget_)) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

Value Runtime::EvalConcat(const Expr& expr) {
  std::string text;
  for (const ExprPtr& part : expr.parts) {
    const Value value = Eval(*part);
    value.is_string() ? Append(text, value.text(), budget_) : void(text += Str(value, budget_));
  }
  return Value::String(std::move(text));
}

Value Runtime::EvalConditional(const Expr& expr) {
  if (Truth(Eval(*expr.parts[0]))) return Eval(*expr.parts[1]);
  if (expr.parts[2] != nullptr) return Eval(*expr.parts[2]);
  return Value::Undefined("the inline if-expression was false and has no else");
}

Args Runtime::EvalArgs(const Expr& expr) {
  Args args;
  const auto add_named = [&](const std::string& name, Value value) {
    if (FindNamed(args, name) != nullptr) {
      Fail(fmt::format("got multiple values for keyword argument '{}'", name));
    }
    args.named.emplace_back(name, std::move(value));
  };
  for (const Argument& argument : expr.args) {
    Value value = Eval(*argument.value);
    if (argument.kind == ArgKind::kPositional) {
      args.positional.push_back(std::move(value));
    } else if (argument.kind == ArgKind::kNamed) {
      add_named(argument.name, std::move(value));
    } else if (argument.kind == ArgKind::kStar) {
      for (Value& item : Iterate(value, budget_)) args.positional.push_back(std::move(item));
    } else {
      if (!value.is_dict()) Fail("the argument after ** is no dictionary");
      for (const auto& [key, item] : value.dict().dict.items()) {
        if (!key.is_string()) Fail("keywords are strings");
        budget_.Step(static_cast<int64_t>(args.named.size()));
        add_named(key.text(), item);
      }
    }
  }
  return args;
}

// ---- calls

Value Runtime::Call(const Value& callee, const Args& args) {
  if (callee.is_undefined()) Fail(callee.object<UndefinedObject>().message);
  if (!callee.is(Kind::kCallable)) {
    Fail(fmt::format("'{}' object is not callable", TypeName(callee)));
  }
  // A copy: what is called may change the variable that it is held by.
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const std::shared_ptr<const Object> held = callee.shared();
  return static_cast<const CallableObject&>(*held).Call(*this, args);
}

Value Runtime::MakeMacro(const MacroDefinition& definition) {
  budget_.Bytes(sizeof(Macro));
  for (std::shared_ptr<Scope> scope = scope_; scope != nullptr && !scope->captured;
       scope = scope->parent) {
    scope->captured = true;
    budget_.Bytes(sizeof(Scope) + scope->variables.size() * sizeof(Value));
    captured_.push_back(scope);
  }
  auto macro = std::make_shared<Macro>();
  macro->name = definition.name;
  macro->shown = fmt::format("<Macro '{}'>", definition.name);
  macro->definition = &definition;
  macro->scope = scope_;
  return Value::Of(Kind::kCallable, std::move(macro));
}

Value Runtime::CallMacro(const MacroDefinition& macro, const std::shared_ptr<Scope>& scope,
                         const Args& args) {
  const Deeper deeper(*this);
  const std::shared_ptr<Scope> caller_scope = scope_;
  scope_ = NewScope(scope);
  std::string text;
  std::string* const out = std::exchange(out_, &text);
  BindMacro(macro, args, *scope_);
  Run(macro.body);
  out_ = out;
  scope_ = caller_scope;
  return Value::String(std::move(text));
}

void Runtime::BindMacro(const MacroDefinition& macro, const Args& args, Scope& scope) {
  const size_t count = macro.parameters.size();
  if (args.positional.size() > count && !macro.uses_varargs) {
    Fail(fmt::format("macro '{}' takes not more than {} argument(s)", macro.name, count));
  }
  for (const auto& named : args.named) CheckNamed(macro, named.first);
  for (size_t i = 0; i < count; ++i) {
    const Parameter& parameter = macro.parameters[i];
    const Value* named = FindNamed(args, parameter.name);
    if (i < args.positional.size()) {
      if (named != nullptr && !macro.uses_kwargs) {
        Fail(fmt::format("macro '{}' got two values for '{}'", macro.name, parameter.name));
      }
      scope.Set(parameter.symbol, args.positional[i]);
    } else if (named != nullptr) {
      scope.Set(parameter.symbol, *named);
    } else if (parameter.fallback != nullptr) {
      scope.Set(parameter.symbol, Eval(*parameter.fallback));
    } else {
      scope.Set(parameter.symbol,
                Value::Undefined(fmt::format("parameter '{}' was not provided", parameter.name)));
    }
  }
  if (macro.uses_caller && !macro.explicit_caller) {
    const Value* caller = FindNamed(args, "caller");
    scope.Set(kSymbolCaller, caller != nullptr ? *caller : Value::Undefined("No caller defined"));
  }
  if (macro.uses_varargs) {
    const size_t from = std::min(count, args.positional.size());
    scope.Set(kSymbolVarargs,
              Value::Tuple({args.positional.begin() + static_cast<std::ptrdiff_t>(from),
                            args.positional.end()}));
  }
  if (macro.uses_kwargs) {
    Dict extra;
    for (const auto& named : args.named) {
      const std::string& name = named.first;
      const bool parameter = std::any_of(macro.parameters.begin(), macro.parameters.end(),
                                         [&](const Parameter& p) { return p.name == name; });
      if (!parameter && name != "caller") extra.Set(Value::String(name), named.second, budget_);
    }
    scope.Set(kSymbolKwargs, MakeDict(std::move(extra)));
  }
}

Value Runtime::MakeNamespace(Dict attributes) {
  auto object = std::make_shared<NamespaceObject>();
  object->attributes = std::move(attributes);
  namespaces_.push_back(object);
  budget_.Bytes(sizeof(NamespaceObject));
  return Value::Of(Kind::kNamespace, std::move(object));
}

}  // namespace reckon::jinja
