#include "text/jinja_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <unordered_map>

#include "text/jinja_lexer.h"

namespace reckon::jinja {
namespace {

std::optional<Op> ComparisonOf(const Token& token) {
  static constexpr std::pair<std::string_view, Op> kOps[] = {
      {"==", Op::kEqual},     {"!=", Op::kNotEqual}, {"<", Op::kLess},
      {"<=", Op::kLessEqual}, {">", Op::kGreater},   {">=", Op::kGreaterEqual}};
  if (token.type != TokenType::kOperator) return {};
  for (const auto& [text, op] : kOps) {
    if (token.text == text) return op;
  }
  return {};
}

bool IsConstantName(std::string_view name) {
  return name == "true" || name == "True" || name == "false" || name == "False" || name == "none" ||
         name == "None";
}

Value ConstantOf(std::string_view name) {
  if (name == "none" || name == "None") return Value();
  return Value::Bool(name == "true" || name == "True");
}

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(Tokenize(source)) {
    for (const char* name : {"loop", "caller", "varargs", "kwargs"}) Intern(name);
  }

  Program Run() {
    Body body = ParseBody({});
    if (At().type != TokenType::kEnd) Unexpected("");
    return {std::move(body), std::move(symbols_)};
  }

 private:
  // Counts nesting while it lives.
  class Nested {
   public:
    explicit Nested(Parser& parser) : parser_(parser) {
      if (++parser_.nesting_ > kMaxNesting) parser_.TooDeep();
    }
    ~Nested() { --parser_.nesting_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    Parser& parser_;
  };

  [[noreturn]] void Wrong(const std::string& message) const {
    throw SyntaxFault(At().line, message);
  }
  [[noreturn]] void TooDeep() const {
    Wrong(fmt::format("nested deeper than {} levels", kMaxNesting));
  }
  [[noreturn]] void Unexpected(std::string_view expected) const {
    const Token& token = At();
    const std::string got = token.type == TokenType::kEnd
                                ? std::string("the end of the template")
                                : fmt::format("\"{}\"", token.text.substr(0, 60));
    Wrong(expected.empty() ? fmt::format("unexpected {}", got)
                           : fmt::format("expected {}, got {}", expected, got));
  }

  const Token& At() const { return tokens_[at_]; }
  const Token& Next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token Take() {
    Token token = std::move(tokens_[at_]);
    tokens_[at_].line = token.line;
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool IsName(std::string_view name) const {
    return At().type == TokenType::kName && At().text == name;
  }
  bool IsOp(std::string_view op) const {
    return At().type == TokenType::kOperator && At().text == op;
  }
  bool TakeName(std::string_view name) {
    const bool is = IsName(name);
    if (is) Take();
    return is;
  }
  bool TakeOp(std::string_view op) {
    const bool is = IsOp(op);
    if (is) Take();
    return is;
  }
  void Expect(TokenType type, std::string_view what) {
    if (At().type != type) Unexpected(what);
    Take();
  }
  void ExpectOp(std::string_view op) {
    if (!TakeOp(op)) Unexpected(fmt::format("\"{}\"", op));
  }
  void ExpectBlockEnd() { Expect(TokenType::kBlockEnd, "\"%}\""); }
  std::string TakeIdentifier(std::string_view what) {
    if (At().type != TokenType::kName) Unexpected(what);
    return Take().text;
  }

  int Intern(const std::string& name) {
    const auto [found, is_new] = symbol_of_.emplace(name, static_cast<int>(symbols_.size()));
    if (is_new) symbols_.push_back(name);
    return found->second;
  }

  ExprPtr Make(ExprKind kind, int line) const {
    auto expr = std::make_unique<Expr>();
    expr->kind = kind;
    expr->line = line;
    return expr;
  }
  void Add(Expr& parent, ExprPtr child) const {
    if (child != nullptr) parent.depth = std::max(parent.depth, child->depth + 1);
    if (parent.depth > kMaxNesting) TooDeep();
    parent.parts.push_back(std::move(child));
  }
  ExprPtr MakeUnary(ExprKind kind, int line, ExprPtr child) const {
    ExprPtr expr = Make(kind, line);
    Add(*expr, std::move(child));
    return expr;
  }
  ExprPtr MakeBinary(ExprKind kind, int line, ExprPtr left, ExprPtr right) const {
    ExprPtr expr = MakeUnary(kind, line, std::move(left));
    Add(*expr, std::move(right));
    return expr;
  }
  ExprPtr MakeOp(Op op, int line, ExprPtr left, ExprPtr right) const {
    ExprPtr expr = MakeBinary(ExprKind::kBinary, line, std::move(left), std::move(right));
    expr->ops = {op};
    return expr;
  }
  ExprPtr MakeName(const std::string& name, int line) {
    ExprPtr expr = Make(ExprKind::kName, line);
    expr->symbol = Intern(name);
    expr->name = name;
    for (MacroDefinition* macro : macros_) {
      if (expr->symbol == kSymbolCaller) macro->uses_caller = true;
      if (expr->symbol == kSymbolVarargs) macro->uses_varargs = true;
      if (expr->symbol == kSymbolKwargs) macro->uses_kwargs = true;
    }
    return expr;
  }

  // ---- statements

  // Up to a tag whose name is one of `ends`, whose name it leaves unread; or to the end.
  Body ParseBody(std::initializer_list<std::string_view> ends) {
    const Nested nested(*this);
    Body body;
    while (At().type != TokenType::kEnd) {
      if (At().type == TokenType::kText) {
        Stmt stmt = MakeStmt(StmtKind::kText);
        stmt.text = Take().text;
        body.push_back(std::move(stmt));
      } else if (At().type == TokenType::kVariableBegin) {
        Take();
        Stmt stmt = MakeStmt(StmtKind::kOutput);
        stmt.expr = ParseTuple();
        Expect(TokenType::kVariableEnd, "\"}}\"");
        body.push_back(std::move(stmt));
      } else {
        Expect(TokenType::kBlockBegin, "a tag");
        if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return IsName(end); })) {
          return body;
        }
        body.push_back(ParseStatement());
      }
    }
    if (ends.size() > 0) Unexpected(fmt::format("a tag \"{}\"", *(ends.end() - 1)));
    return body;
  }

  // A body that ends in one tag, which is read.
  Body ParseBodyUntil(std::string_view end) {
    ExpectBlockEnd();
    Body body = ParseBody({end});
    Take();
    ExpectBlockEnd();
    return body;
  }

  Stmt MakeStmt(StmtKind kind) const {
    Stmt stmt;
    stmt.kind = kind;
    stmt.line = At().line;
    return stmt;
  }

  Stmt ParseStatement() {
    using Parse = Stmt (Parser::*)();
    static const std::unordered_map<std::string_view, Parse> kStatements = {
        {"if", &Parser::ParseIf},
        {"for", &Parser::ParseFor},
        {"set", &Parser::ParseSet},
        {"macro", &Parser::ParseMacro},
        {"call", &Parser::ParseCallBlock},
        {"filter", &Parser::ParseFilterBlock},
        {"with", &Parser::ParseWith},
        {"generation", &Parser::ParseGeneration},
        {"break", &Parser::ParseLoopControl},
        {"continue", &Parser::ParseLoopControl},
        {"print", &Parser::ParsePrint},
    };
    if (At().type != TokenType::kName) Unexpected("the name of a tag");
    const auto found = kStatements.find(At().text);
    if (found == kStatements.end()) Wrong(fmt::format("unknown tag \"{}\"", At().text));
    return (this->*found->second)();
  }

  Stmt ParsePrint() {
    Stmt stmt = MakeStmt(StmtKind::kOutput);
    Take();
    stmt.expr = ParseTuple();
    ExpectBlockEnd();
    return stmt;
  }

  Stmt ParseIf() {
    Stmt stmt = MakeStmt(StmtKind::kIf);
    do {
      Take();  // if or elif
      ExprPtr condition = ParseTuple({}, false);
      ExpectBlockEnd();
      Body body = ParseBody({"elif", "else", "endif"});
      stmt.branches.emplace_back(std::move(condition), std::move(body));
    } while (IsName("elif"));
    if (TakeName("else")) {
      ExpectBlockEnd();
      stmt.else_body = ParseBody({"endif"});
    }
    Take();  // endif
    ExpectBlockEnd();
    return stmt;
  }

  Stmt ParseFor() {
    Stmt stmt = MakeStmt(StmtKind::kFor);
    Take();
    stmt.target = ParseTarget("in");
    if (!TakeName("in")) Unexpected("\"in\"");
    stmt.expr = ParseTuple({"recursive"}, false);
    if (TakeName("if")) stmt.condition = ParseExpression();
    if (IsName("recursive")) Wrong("recursive loops are not supported; call a macro instead");
    ExpectBlockEnd();
    ++loops_;
    stmt.body = ParseBody({"else", "endfor"});
    --loops_;
    if (TakeName("else")) {
      ExpectBlockEnd();
      stmt.else_body = ParseBody({"endfor"});
    }
    Take();  // endfor
    ExpectBlockEnd();
    return stmt;
  }

  Stmt ParseSet() {
    Stmt stmt = MakeStmt(StmtKind::kSet);
    Take();
    stmt.target = ParseTarget("");
    if (TakeOp("=")) {
      stmt.expr = ParseTuple();
      ExpectBlockEnd();
      return stmt;
    }
    stmt.kind = StmtKind::kSetBlock;
    stmt.expr = ParseFilters(Make(ExprKind::kBlockText, At().line));
    stmt.body = ParseBodyUntil("endset");
    return stmt;
  }

  Stmt ParseMacro() {
    Stmt stmt = MakeStmt(StmtKind::kMacro);
    Take();
    const std::string name = TakeIdentifier("the name of a macro");
    if (IsConstantName(name)) Wrong(fmt::format("cannot assign to \"{}\"", name));
    stmt.symbol = Intern(name);
    stmt.macro = std::make_unique<MacroDefinition>();
    stmt.macro->name = name;
    ParseSignature(*stmt.macro);
    ParseMacroBody(*stmt.macro, "endmacro");
    return stmt;
  }

  void ParseSignature(MacroDefinition& macro) {
    ExpectOp("(");
    while (!TakeOp(")")) {
      if (!macro.parameters.empty()) ExpectOp(",");
      Parameter parameter;
      parameter.name = TakeIdentifier("the name of a parameter");
      if (IsConstantName(parameter.name)) {
        Wrong(fmt::format("cannot assign to \"{}\"", parameter.name));
      }
      parameter.symbol = Intern(parameter.name);
      macro.explicit_caller |= parameter.symbol == kSymbolCaller;
      if (TakeOp("=")) {
        parameter.fallback = ParseExpression();
      } else if (!macro.parameters.empty() && macro.parameters.back().fallback != nullptr) {
        Wrong("a parameter without a default follows one with a default");
      }
      macro.parameters.push_back(std::move(parameter));
    }
  }

  void ParseMacroBody(MacroDefinition& macro, std::string_view end) {
    macros_.push_back(&macro);
    const int loops = std::exchange(loops_, 0);
    macro.body = ParseBodyUntil(end);
    loops_ = loops;
    macros_.pop_back();
  }

  Stmt ParseCallBlock() {
    Stmt stmt = MakeStmt(StmtKind::kCallBlock);
    Take();
    stmt.macro = std::make_unique<MacroDefinition>();
    stmt.macro->name = "caller";
    if (IsOp("(")) ParseSignature(*stmt.macro);
    stmt.expr = ParseExpression();
    if (stmt.expr->kind != ExprKind::kCall) Wrong("expected a call after \"call\"");
    ParseMacroBody(*stmt.macro, "endcall");
    return stmt;
  }

  Stmt ParseFilterBlock() {
    Stmt stmt = MakeStmt(StmtKind::kFilterBlock);
    Take();
    ExprPtr input = Make(ExprKind::kBlockText, At().line);
    stmt.expr = ParseFilters(ParseFilter(std::move(input)));
    stmt.body = ParseBodyUntil("endfilter");
    return stmt;
  }

  Stmt ParseWith() {
    Stmt stmt = MakeStmt(StmtKind::kWith);
    Take();
    while (At().type != TokenType::kBlockEnd) {
      if (!stmt.bindings.empty()) ExpectOp(",");
      ExprPtr target = ParseTarget("");
      ExpectOp("=");
      ExprPtr value = ParseExpression();
      stmt.bindings.emplace_back(std::move(target), std::move(value));
    }
    stmt.body = ParseBodyUntil("endwith");
    return stmt;
  }

  Stmt ParseGeneration() {
    Stmt stmt = MakeStmt(StmtKind::kGeneration);
    Take();
    const int loops = std::exchange(loops_, 0);
    stmt.body = ParseBodyUntil("endgeneration");
    loops_ = loops;
    return stmt;
  }

  Stmt ParseLoopControl() {
    Stmt stmt = MakeStmt(IsName("break") ? StmtKind::kBreak : StmtKind::kContinue);
    if (loops_ == 0) Wrong(fmt::format("\"{}\" outside of a loop", At().text));
    Take();
    ExpectBlockEnd();
    return stmt;
  }

  // A name, ns.name, or a tuple of them; up to a name `end`.
  ExprPtr ParseTarget(std::string_view end) {
    ExprPtr tuple = Make(ExprKind::kTuple, At().line);
    bool is_tuple = false;
    while (true) {
      if (!tuple->parts.empty()) ExpectOp(",");
      if (!tuple->parts.empty() && (IsOp("=") || IsOp(")") || (!end.empty() && IsName(end)))) break;
      Add(*tuple, ParseSingleTarget());
      if (!IsOp(",")) break;
      is_tuple = true;
    }
    return is_tuple ? std::move(tuple) : std::move(tuple->parts[0]);
  }

  ExprPtr ParseSingleTarget() {
    const Nested nested(*this);
    const int line = At().line;
    if (TakeOp("(")) {
      ExprPtr inner = ParseTarget("");
      ExpectOp(")");
      return inner;
    }
    const std::string name = TakeIdentifier("a name to assign to");
    if (IsConstantName(name)) Wrong(fmt::format("cannot assign to \"{}\"", name));
    ExprPtr target = MakeName(name, line);
    if (TakeOp(".")) {
      target->kind = ExprKind::kAttribute;
      target->name = TakeIdentifier("the name of an attribute");
    }
    return target;
  }

  // ---- expressions, from the loosest binding to the tightest

  // One expression, or a tuple where commas follow. `ends`: names that end it.
  ExprPtr ParseTuple(std::initializer_list<std::string_view> ends = {}, bool conditional = true,
                     bool in_parentheses = false) {
    ExprPtr tuple = Make(ExprKind::kTuple, At().line);
    bool is_tuple = false;
    while (true) {
      if (!tuple->parts.empty()) ExpectOp(",");
      const bool at_end =
          At().type == TokenType::kVariableEnd || At().type == TokenType::kBlockEnd || IsOp(")") ||
          std::any_of(ends.begin(), ends.end(), [&](auto end) { return IsName(end); });
      if (at_end) break;
      Add(*tuple, conditional ? ParseExpression() : ParseOr());
      if (!IsOp(",")) break;
      is_tuple = true;
    }
    if (is_tuple) return tuple;
    if (!tuple->parts.empty()) return std::move(tuple->parts[0]);
    if (!in_parentheses) Unexpected("an expression");
    return tuple;
  }

  ExprPtr ParseExpression() {
    const Nested nested(*this);
    int line = At().line;
    ExprPtr expr = ParseOr();
    while (TakeName("if")) {
      ExprPtr conditional = MakeBinary(ExprKind::kConditional, line, ParseOr(), std::move(expr));
      Add(*conditional, TakeName("else") ? ParseExpression() : nullptr);
      expr = std::move(conditional);
      line = At().line;
    }
    return expr;
  }

  ExprPtr ParseOr() {
    ExprPtr left = ParseAnd();
    while (IsName("or")) {
      const int line = Take().line;
      left = MakeBinary(ExprKind::kOr, line, std::move(left), ParseAnd());
    }
    return left;
  }

  ExprPtr ParseAnd() {
    ExprPtr left = ParseNot();
    while (IsName("and")) {
      const int line = Take().line;
      left = MakeBinary(ExprKind::kAnd, line, std::move(left), ParseNot());
    }
    return left;
  }

  ExprPtr ParseNot() {
    if (!IsName("not")) return ParseCompare();
    const Nested nested(*this);
    const int line = Take().line;
    return MakeUnary(ExprKind::kNot, line, ParseNot());
  }

  std::optional<Op> TakeComparison() {
    std::optional<Op> op = ComparisonOf(At());
    if (!op && IsName("in")) op = Op::kIn;
    if (!op && IsName("not") && Next().type == TokenType::kName && Next().text == "in") {
      Take();
      op = Op::kNotIn;
    }
    if (op) Take();
    return op;
  }

  ExprPtr ParseCompare() {
    ExprPtr first = ParseSum();
    const int line = At().line;
    ExprPtr compare;
    while (const std::optional<Op> op = TakeComparison()) {
      if (compare == nullptr) compare = MakeUnary(ExprKind::kCompare, line, std::move(first));
      compare->ops.push_back(*op);
      Add(*compare, ParseSum());
    }
    return compare != nullptr ? std::move(compare) : std::move(first);
  }

  ExprPtr ParseSum() {
    ExprPtr left = ParseConcat();
    while (IsOp("+") || IsOp("-")) {
      const Op op = IsOp("+") ? Op::kAdd : Op::kSubtract;
      const int line = Take().line;
      left = MakeOp(op, line, std::move(left), ParseConcat());
    }
    return left;
  }

  ExprPtr ParseConcat() {
    ExprPtr first = ParseProduct();
    if (!IsOp("~")) return first;
    ExprPtr concat = MakeUnary(ExprKind::kConcat, At().line, std::move(first));
    while (TakeOp("~")) Add(*concat, ParseProduct());
    return concat;
  }

  ExprPtr ParseProduct() {
    ExprPtr left = ParsePower();
    while (IsOp("*") || IsOp("/") || IsOp("//") || IsOp("%")) {
      const Op op = IsOp("*")   ? Op::kMultiply
                    : IsOp("/") ? Op::kDivide
                    : IsOp("%") ? Op::kModulo
                                : Op::kFloorDivide;
      const int line = Take().line;
      left = MakeOp(op, line, std::move(left), ParsePower());
    }
    return left;
  }

  ExprPtr ParsePower() {
    ExprPtr left = ParseUnary(true);
    while (IsOp("**")) {
      const int line = Take().line;
      left = MakeOp(Op::kPower, line, std::move(left), ParseUnary(true));
    }
    return left;
  }

  ExprPtr ParseUnary(bool with_filters) {
    ExprPtr expr;
    if (IsOp("-") || IsOp("+")) {
      const Nested nested(*this);
      const ExprKind kind = IsOp("-") ? ExprKind::kNegative : ExprKind::kPositive;
      const int line = Take().line;
      expr = MakeUnary(kind, line, ParseUnary(false));
    } else {
      expr = ParsePrimary();
    }
    expr = ParsePostfix(std::move(expr));
    return with_filters ? ParseFiltersAndTests(std::move(expr)) : std::move(expr);
  }

  ExprPtr ParsePrimary() {
    const int line = At().line;
    switch (At().type) {
      case TokenType::kName: {
        const std::string name = Take().text;
        if (!IsConstantName(name)) return MakeName(name, line);
        ExprPtr constant = Make(ExprKind::kConst, line);
        constant->value = ConstantOf(name);
        return constant;
      }
      case TokenType::kString: {
        std::string text = Take().text;
        while (At().type == TokenType::kString) text += Take().text;
        ExprPtr constant = Make(ExprKind::kConst, line);
        constant->value = Value::String(std::move(text));
        return constant;
      }
      case TokenType::kInteger:
      case TokenType::kFloat: {
        ExprPtr constant = Make(ExprKind::kConst, line);
        constant->value = Take().number;
        return constant;
      }
      default:
        break;
    }
    if (IsOp("(") || IsOp("[") || IsOp("{")) return ParseBrackets();
    Unexpected("an expression");
  }

  ExprPtr ParseBrackets() {
    const Nested nested(*this);
    const int line = At().line;
    if (TakeOp("(")) {
      ExprPtr inner = ParseTuple({}, true, true);
      ExpectOp(")");
      return inner;
    }
    if (TakeOp("[")) {
      ExprPtr list = Make(ExprKind::kList, line);
      while (!TakeOp("]")) {
        if (!list->parts.empty()) ExpectOp(",");
        if (TakeOp("]")) break;
        Add(*list, ParseExpression());
      }
      return list;
    }
    Take();
    ExprPtr dict = Make(ExprKind::kDict, line);
    while (!TakeOp("}")) {
      if (!dict->parts.empty()) ExpectOp(",");
      if (TakeOp("}")) break;
      Add(*dict, ParseExpression());
      ExpectOp(":");
      Add(*dict, ParseExpression());
    }
    return dict;
  }

  ExprPtr ParsePostfix(ExprPtr expr) {
    while (true) {
      if (IsOp(".")) {
        expr = ParseAttribute(std::move(expr));
      } else if (IsOp("[")) {
        expr = ParseSubscript(std::move(expr));
      } else if (IsOp("(")) {
        expr = ParseCall(std::move(expr));
      } else {
        return expr;
      }
    }
  }

  ExprPtr ParseAttribute(ExprPtr object) {
    const int line = Take().line;
    if (At().type == TokenType::kInteger) {
      ExprPtr index = Make(ExprKind::kConst, line);
      index->value = Take().number;
      return MakeBinary(ExprKind::kItem, line, std::move(object), std::move(index));
    }
    ExprPtr attribute = MakeUnary(ExprKind::kAttribute, line, std::move(object));
    attribute->name = TakeIdentifier("a name or a number after \".\"");
    return attribute;
  }

  ExprPtr ParseSubscript(ExprPtr object) {
    const Nested nested(*this);
    const int line = Take().line;
    ExprPtr parts[3];
    int colons = 0;
    while (!IsOp("]") && !IsOp(",")) {
      if (IsOp(":") && colons < 2) {
        Take();
        ++colons;
      } else if (parts[colons] == nullptr) {
        parts[colons] = ParseExpression();
      } else {
        Unexpected("\"]\"");
      }
    }
    if (colons == 0) {
      if (parts[0] == nullptr) Unexpected("a subscript");
      ExprPtr index = IsOp(",") ? ParseIndexTuple(std::move(parts[0])) : std::move(parts[0]);
      ExpectOp("]");
      return MakeBinary(ExprKind::kItem, line, std::move(object), std::move(index));
    }
    ExpectOp("]");
    ExprPtr slice = MakeUnary(ExprKind::kSlice, line, std::move(object));
    for (ExprPtr& part : parts) Add(*slice, std::move(part));
    return slice;
  }

  ExprPtr ParseIndexTuple(ExprPtr first) {
    ExprPtr tuple = MakeUnary(ExprKind::kTuple, At().line, std::move(first));
    while (TakeOp(",")) Add(*tuple, ParseExpression());
    return tuple;
  }

  ExprPtr ParseCall(ExprPtr callee) {
    ExprPtr call = MakeUnary(ExprKind::kCall, At().line, std::move(callee));
    ParseArguments(*call);
    return call;
  }

  void ParseArguments(Expr& call) {
    const Nested nested(*this);
    ExpectOp("(");
    ArgKind last = ArgKind::kPositional;
    while (!TakeOp(")")) {
      if (!call.args.empty()) ExpectOp(",");
      if (TakeOp(")")) break;
      Argument argument;
      if (TakeOp("*")) {
        argument.kind = ArgKind::kStar;
      } else if (TakeOp("**")) {
        argument.kind = ArgKind::kDoubleStar;
      } else if (At().type == TokenType::kName && Next().type == TokenType::kOperator &&
                 Next().text == "=") {
        argument.kind = ArgKind::kNamed;
        argument.name = Take().text;
        Take();
      }
      const bool ordered = argument.kind == ArgKind::kNamed        ? last != ArgKind::kDoubleStar
                           : argument.kind == ArgKind::kPositional ? last == ArgKind::kPositional
                                                                   : last < argument.kind;
      if (!ordered) Wrong("the arguments of a call are in the wrong order");
      last = argument.kind == ArgKind::kNamed && last == ArgKind::kStar ? last : argument.kind;
      argument.value = ParseExpression();
      call.depth = std::max(call.depth, argument.value->depth + 1);
      if (call.depth > kMaxNesting) TooDeep();
      call.args.push_back(std::move(argument));
    }
  }

  ExprPtr ParseFiltersAndTests(ExprPtr expr) {
    while (true) {
      if (IsOp("|")) {
        expr = ParseFilters(std::move(expr));
      } else if (IsName("is")) {
        expr = ParseTest(std::move(expr));
      } else if (IsOp("(")) {
        expr = ParseCall(std::move(expr));
      } else {
        return expr;
      }
    }
  }

  ExprPtr ParseFilters(ExprPtr input) {
    while (TakeOp("|")) input = ParseFilter(std::move(input));
    return input;
  }

  std::string TakeDottedName(std::string_view what) {
    std::string name = TakeIdentifier(what);
    while (TakeOp(".")) name += "." + TakeIdentifier(what);
    return name;
  }

  ExprPtr ParseFilter(ExprPtr input) {
    ExprPtr filter = MakeUnary(ExprKind::kFilter, At().line, std::move(input));
    filter->name = TakeDottedName("the name of a filter");
    if (IsOp("(")) ParseArguments(*filter);
    return filter;
  }

  ExprPtr ParseTest(ExprPtr input) {
    const int line = Take().line;
    ExprPtr test = MakeUnary(ExprKind::kTest, line, std::move(input));
    test->negated = TakeName("not");
    test->name = TakeDottedName("the name of a test");
    const TokenType type = At().type;
    const bool operand =
        type == TokenType::kString || type == TokenType::kInteger || type == TokenType::kFloat ||
        IsOp("[") || IsOp("{") ||
        (type == TokenType::kName && !IsName("else") && !IsName("or") && !IsName("and"));
    if (IsOp("(")) {
      ParseArguments(*test);
    } else if (operand) {
      if (IsName("is")) Wrong("tests cannot be chained with \"is\"");
      Argument argument;
      argument.value = ParsePostfix(ParsePrimary());
      test->depth = std::max(test->depth, argument.value->depth + 1);
      if (test->depth > kMaxNesting) TooDeep();
      test->args.push_back(std::move(argument));
    }
    return test;
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0;
  int loops_ = 0;                         // around this place, inside the innermost macro
  std::vector<MacroDefinition*> macros_;  // around this place
  std::vector<std::string> symbols_;
  std::unordered_map<std::string, int> symbol_of_;
};

}  // namespace

Program ParseTemplate(std::string_view source) { return Parser(source).Run(); }

}  // namespace reckon::jinja
