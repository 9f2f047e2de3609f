// The syntax tree of a template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja_value.h"

namespace reckon::jinja {

// No tree is deeper, statements and expressions together; "a.b.c" and "a + b + c" nest too.
inline constexpr int kMaxNesting = 200;

enum class ExprKind {
  kConst,
  kName,
  kList,
  kTuple,
  kDict,       // parts: key, value, key, value, ...
  kAttribute,  // part 0 . name; as a target: `symbol` . name
  kItem,       // part 0 [ part 1 ]
  kSlice,      // part 0 [ part 1 : part 2 : part 3 ], each of the three may be null
  kCall,
  kFilter,
  kTest,
  kNegative,
  kPositive,
  kNot,
  kAnd,
  kOr,
  kBinary,       // `ops[0]`
  kCompare,      // part 0 ops[0] part 1 ops[1] part 2 ...
  kConcat,       // ~
  kConditional,  // part 1 if part 0 else part 2 (may be null)
  kBlockText,    // the text that a filter block or a block set filters
};

enum class Op {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class ArgKind { kPositional, kNamed, kStar, kDoubleStar };

struct Argument {
  ArgKind kind = ArgKind::kPositional;
  std::string name;
  ExprPtr value;
};

struct Expr {
  ExprKind kind = ExprKind::kConst;
  int line = 1;
  int depth = 1;  // of the tree below
  int symbol = -1;
  bool negated = false;  // of a test
  std::string name;      // of a name, an attribute, a filter or a test
  Value value;           // of a constant
  std::vector<Op> ops;
  std::vector<ExprPtr> parts;
  std::vector<Argument> args;
};

enum class StmtKind {
  kText,
  kOutput,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCallBlock,
  kFilterBlock,
  kWith,
  kGeneration,
  kBreak,
  kContinue,
};

struct Stmt;
using Body = std::vector<Stmt>;

struct Parameter {
  int symbol = -1;
  std::string name;
  ExprPtr fallback;  // null: none
};

// A macro, or the body of a call block.
struct MacroDefinition {
  std::string name;
  std::vector<Parameter> parameters;
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false, explicit_caller = false;
  Body body;
};

struct Stmt {
  StmtKind kind = StmtKind::kText;
  int line = 1;
  std::string text;
  ExprPtr target;     // of for and set
  ExprPtr expr;       // what is printed, looped over, assigned, called, or the filters of a block
  ExprPtr condition;  // of for
  Body body, else_body;
  std::vector<std::pair<ExprPtr, Body>> branches;     // of if
  std::vector<std::pair<ExprPtr, ExprPtr>> bindings;  // of with: target, value
  std::unique_ptr<MacroDefinition> macro;
  int symbol = -1;  // of a macro: its name
};

struct Program {
  Body body;
  std::vector<std::string> symbols;  // names, by symbol
};

}  // namespace reckon::jinja
