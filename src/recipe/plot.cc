#include "recipe/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace reckon {
namespace {

constexpr double kWidth = 460, kHeight = 260, kLeft = 56, kRight = 14, kTop = 30, kBottom = 42;
constexpr size_t kMostPoints = 120;  // drawn in the mean line
constexpr int kColours = 4;

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void Add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

bool Drawable(const PlotSeries& series, size_t i) {
  return std::isfinite(series.x[i]) && std::isfinite(series.y[i]);
}

// 1, 2 or 5 times a power of ten, so that about `wanted` steps cover the span.
double NiceStep(double span, int wanted) {
  if (span <= 0) return 1;
  const double raw = span / wanted;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power) return factor * power;
  }
  return 10 * power;
}

// The data ranges and the map from data to picture.
class Axes {
 public:
  explicit Axes(const Plot& plot) {
    for (const PlotSeries& series : plot.series) {
      for (size_t i = 0; i < series.x.size(); ++i) {
        if (!Drawable(series, i)) continue;
        x_.Add(series.x[i]);
        y_.Add(series.y[i]);
      }
    }
    if (x_.empty()) return;
    if (plot.y_from_zero) y_.Add(0);
    if (x_.high == x_.low) x_.high = x_.low + 1;
    if (y_.high == y_.low) y_.high = y_.low + (y_.low == 0 ? 1 : std::abs(y_.low) * 0.1);
    const double margin = 0.04 * (y_.high - y_.low);
    if (!(plot.y_from_zero && y_.low == 0)) y_.low -= margin;
    y_.high += margin;
  }
  bool empty() const { return x_.empty(); }
  double X(double v) const {
    return kLeft + (v - x_.low) / (x_.high - x_.low) * (kWidth - kLeft - kRight);
  }
  double Y(double v) const {
    return kHeight - kBottom - (v - y_.low) / (y_.high - y_.low) * (kHeight - kTop - kBottom);
  }
  std::string Ticks() const {
    std::string out;
    const double x_step = NiceStep(x_.high - x_.low, 5), y_step = NiceStep(y_.high - y_.low, 5);
    for (double v = std::ceil(x_.low / x_step) * x_step; v <= x_.high + 1e-9 * x_step;
         v += x_step) {
      out += fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='middle'>{:g}</text>", X(v),
                         kHeight - kBottom + 15, Clean(v, x_step));
    }
    for (double v = std::ceil(y_.low / y_step) * y_step; v <= y_.high + 1e-9 * y_step;
         v += y_step) {
      out += fmt::format(
          "<line class='grid' x1='{0:.1f}' x2='{1:.1f}' y1='{2:.1f}' y2='{2:.1f}'/>"
          "<text x='{3:.1f}' y='{4:.1f}' text-anchor='end'>{5:g}</text>",
          kLeft, kWidth - kRight, Y(v), kLeft - 6, Y(v) + 4, Clean(v, y_step));
    }
    return out;
  }

 private:
  // Rounds away the dust of repeated addition.
  static double Clean(double v, double step) { return std::round(v / step) * step + 0.0; }
  Range x_, y_;
};

std::string Points(const PlotSeries& series, const Axes& axes, int colour) {
  std::string out;
  for (size_t i = 0; i < series.x.size(); ++i) {
    if (!Drawable(series, i)) continue;
    out += fmt::format("<circle class='dot s{}' cx='{:.1f}' cy='{:.1f}' r='1.4'/>", colour,
                       axes.X(series.x[i]), axes.Y(series.y[i]));
  }
  return out;
}

std::string MeanLine(const PlotSeries& series, const Axes& axes, int colour) {
  const size_t group = (series.x.size() + kMostPoints - 1) / kMostPoints;
  std::string path;
  for (size_t begin = 0; begin < series.x.size(); begin += group) {
    double x = 0, y = 0;
    int count = 0;
    for (size_t i = begin; i < std::min(begin + group, series.x.size()); ++i) {
      if (!Drawable(series, i)) continue;
      x += series.x[i];
      y += series.y[i];
      ++count;
    }
    if (count == 0) continue;
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", axes.X(x / count),
                        axes.Y(y / count));
  }
  return fmt::format("<path class='line s{}' d='{}'/>", colour, path);
}

std::string Legend(const Plot& plot) {
  if (plot.series.size() < 2) return "";
  std::string out;
  double x = kLeft + 6;
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const int colour = static_cast<int>(i) % kColours;
    out += fmt::format(
        "<path class='line s{}' d='M{:.1f} {:.1f}h14'/><text x='{:.1f}' y='{:.1f}'>{}</text>",
        colour, x, kTop + 8, x + 18, kTop + 12, EscapeHtml(plot.series[i].name));
    x += 34 + 6.6 * static_cast<double>(plot.series[i].name.size());
  }
  return out;
}

}  // namespace

std::string EscapeHtml(const std::string& text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string RenderSvg(const Plot& plot) {
  std::string body =
      fmt::format("<text class='title' x='{:.1f}' y='16'>{}</text>", kLeft, EscapeHtml(plot.title));
  const Axes axes(plot);
  if (axes.empty()) {
    body += fmt::format("<text x='{:.1f}' y='{:.1f}'>no data</text>", kLeft + 20, kHeight / 2);
  } else {
    body += axes.Ticks();
    for (size_t i = 0; i < plot.series.size(); ++i) {
      const int colour = static_cast<int>(i) % kColours;
      if (plot.series[i].x.size() > kMostPoints) body += Points(plot.series[i], axes, colour);
      body += MeanLine(plot.series[i], axes, colour);
    }
    body += Legend(plot);
  }
  body += fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='middle'>{}</text>",
                      (kLeft + kWidth - kRight) / 2, kHeight - 8, EscapeHtml(plot.x_label));
  return fmt::format("<svg viewBox='0 0 {:g} {:g}' role='img' aria-label='{}: {} by {}'>{}</svg>",
                     kWidth, kHeight, EscapeHtml(plot.title), EscapeHtml(plot.y_label),
                     EscapeHtml(plot.x_label), body);
}

}  // namespace reckon
