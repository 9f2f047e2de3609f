// Arithmetic and comparison, as Python has them on integers of 64 bits.
#include <fmt/format.h>

#include <cmath>

#include "text/jinja_builtins.h"

namespace reckon::jinja {
namespace {

const char* Sign(Op op) {
  switch (op) {
    case Op::kAdd:
      return "+";
    case Op::kSubtract:
      return "-";
    case Op::kMultiply:
      return "*";
    case Op::kDivide:
      return "/";
    case Op::kFloorDivide:
      return "//";
    case Op::kModulo:
      return "%";
    case Op::kPower:
      return "** or pow()";
    case Op::kLess:
      return "<";
    case Op::kLessEqual:
      return "<=";
    case Op::kGreater:
      return ">";
    case Op::kGreaterEqual:
      return ">=";
    default:
      return "?";
  }
}

[[noreturn]] void TooLarge() { Fail("an integer does not fit into 64 bits"); }

[[noreturn]] void WrongTypes(Op op, const Value& a, const Value& b) {
  if (op == Op::kAdd && (a.is_string() || a.is(Kind::kList) || a.is(Kind::kTuple))) {
    Fail(fmt::format("can only concatenate {} (not \"{}\") to {}", TypeName(a), TypeName(b),
                     TypeName(a)));
  }
  Fail(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", Sign(op), TypeName(a),
                   TypeName(b)));
}

// Rounds towards minus infinity.
int64_t FloorDivide(int64_t a, int64_t b) {
  if (b == 0) Fail("integer division or modulo by zero");
  if (b == -1) {
    int64_t negated = 0;
    if (__builtin_sub_overflow(int64_t{0}, a, &negated)) TooLarge();
    return negated;
  }
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

// Of the sign of b.
int64_t FloorModulo(int64_t a, int64_t b) {
  if (b == 0) Fail("integer division or modulo by zero");
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

int64_t Power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) TooLarge();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) TooLarge();
  }
  return result;
}

Value OnIntegers(Op op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case Op::kAdd:
      if (__builtin_add_overflow(a, b, &result)) TooLarge();
      return Value::Int(result);
    case Op::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) TooLarge();
      return Value::Int(result);
    case Op::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) TooLarge();
      return Value::Int(result);
    case Op::kFloorDivide:
      return Value::Int(FloorDivide(a, b));
    case Op::kModulo:
      return Value::Int(FloorModulo(a, b));
    case Op::kPower:
      if (b >= 0) return Value::Int(Power(a, b));
      if (a == 0) Fail("0.0 cannot be raised to a negative power");
      return Value::Float(std::pow(static_cast<double>(a), static_cast<double>(b)));
    default:
      if (b == 0) Fail("division by zero");
      return Value::Float(static_cast<double>(a) / static_cast<double>(b));
  }
}

double FloatModulo(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest != 0 && (rest < 0) != (b < 0)) return rest + b;
  return rest == 0 ? std::copysign(0.0, b) : rest;
}

Value OnFloats(Op op, double a, double b) {
  const bool divides = op == Op::kDivide || op == Op::kFloorDivide || op == Op::kModulo;
  if (divides && b == 0) Fail("float division by zero");
  switch (op) {
    case Op::kAdd:
      return Value::Float(a + b);
    case Op::kSubtract:
      return Value::Float(a - b);
    case Op::kMultiply:
      return Value::Float(a * b);
    case Op::kDivide:
      return Value::Float(a / b);
    case Op::kFloorDivide:
      return Value::Float(std::floor((a - FloatModulo(a, b)) / b + 0.5));
    case Op::kModulo:
      return Value::Float(FloatModulo(a, b));
    default:
      if (a == 0 && b < 0) Fail("0.0 cannot be raised to a negative power");
      if (a < 0 && b != std::floor(b)) Fail("complex numbers are not supported");
      return Value::Float(std::pow(a, b));
  }
}

Value RepeatedSequence(const Value& sequence, int64_t count, Budget& budget) {
  const std::vector<Value>& items = sequence.items();
  std::vector<Value> result;
  if (count > 0 && !items.empty()) {
    if (count > budget.limits().max_bytes) budget.Bytes(static_cast<uint64_t>(count));
    budget.Bytes(static_cast<uint64_t>(count) * items.size() * sizeof(Value));
    for (int64_t i = 0; i < count; ++i) result.insert(result.end(), items.begin(), items.end());
  }
  return Value::Sequence(sequence.kind(), std::move(result));
}

bool IsListOrTuple(const Value& value) { return value.is(Kind::kList) || value.is(Kind::kTuple); }

}  // namespace

std::string Repeated(std::string_view text, int64_t count, Budget& budget) {
  std::string result;
  if (count <= 0 || text.empty()) return result;
  if (count > budget.limits().max_bytes) budget.Bytes(static_cast<uint64_t>(count));
  budget.Bytes(static_cast<uint64_t>(count) * text.size());
  result.reserve(static_cast<size_t>(count) * text.size());
  for (int64_t i = 0; i < count; ++i) result += text;
  return result;
}

Value ApplyOperator(Op op, const Value& a, const Value& b, Budget& budget) {
  for (const Value* operand : {&a, &b}) {
    if (operand->is_undefined()) Fail(operand->object<UndefinedObject>().message);
  }
  if (a.is_integer() && b.is_integer()) return OnIntegers(op, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return OnFloats(op, a.number(), b.number());
  if (op == Op::kAdd && a.is_string() && b.is_string()) {
    budget.Bytes(a.text().size() + b.text().size());
    return Value::String(a.text() + b.text());
  }
  if (op == Op::kAdd && a.kind() == b.kind() && IsListOrTuple(a)) {
    budget.Bytes((a.items().size() + b.items().size()) * sizeof(Value));
    std::vector<Value> items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    return Value::Sequence(a.kind(), std::move(items));
  }
  if (op == Op::kMultiply && (a.is_integer() || b.is_integer())) {
    const Value& repeated = a.is_integer() ? b : a;
    const int64_t count = a.is_integer() ? a.integer() : b.integer();
    if (repeated.is_string()) return Value::String(Repeated(repeated.text(), count, budget));
    if (IsListOrTuple(repeated)) return RepeatedSequence(repeated, count, budget);
  }
  if (op == Op::kModulo && a.is_string()) {
    return Value::String(FormatPercent(a.text(), b, budget));
  }
  WrongTypes(op, a, b);
}

bool ApplyComparison(Op op, const Value& a, const Value& b, Budget& budget) {
  switch (op) {
    case Op::kEqual:
      return Equal(a, b, budget);
    case Op::kNotEqual:
      return !Equal(a, b, budget);
    case Op::kIn:
      return Contains(b, a, budget);
    case Op::kNotIn:
      return !Contains(b, a, budget);
    default:
      break;
  }
  for (const Value* operand : {&a, &b}) {
    if (operand->is_undefined()) Fail(operand->object<UndefinedObject>().message);
  }
  const char* sign = Sign(op);
  switch (op) {
    case Op::kLess:
      return Less(a, b, sign, budget);
    case Op::kGreater:
      return Less(b, a, sign, budget);
    case Op::kLessEqual:
      return Less(a, b, sign, budget) || Equal(a, b, budget);
    default:
      return Less(b, a, sign, budget) || Equal(a, b, budget);
  }
}

Value Negative(const Value& value) {
  if (value.is_undefined()) Fail(value.object<UndefinedObject>().message);
  if (value.is(Kind::kFloat)) return Value::Float(-value.number());
  if (!value.is_integer()) {
    Fail(fmt::format("bad operand type for unary -: '{}'", TypeName(value)));
  }
  return OnIntegers(Op::kSubtract, 0, value.integer());
}

Value Positive(const Value& value) {
  if (value.is_undefined()) Fail(value.object<UndefinedObject>().message);
  if (value.is(Kind::kFloat)) return value;
  if (!value.is_integer()) {
    Fail(fmt::format("bad operand type for unary +: '{}'", TypeName(value)));
  }
  return Value::Int(value.integer());
}

}  // namespace reckon::jinja
