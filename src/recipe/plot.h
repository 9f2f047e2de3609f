// Line plots as self-contained SVG, for report.html.
#pragma once

#include <string>
#include <vector>

namespace reckon {

struct PlotSeries {
  std::string name;
  std::vector<double> x, y;  // same length; points that are not finite are left out
};

struct Plot {
  std::string title, x_label, y_label;
  std::vector<PlotSeries> series;
  bool y_from_zero = false;
};

// An <svg> element whose colours follow the page's custom properties --series-0 .. --series-3. Long
// series are drawn as the mean of neighbouring points, with the single points pale behind them.
std::string RenderSvg(const Plot& plot);

// &, <, >, " and ' replaced, for text and attributes of HTML.
std::string EscapeHtml(const std::string& text);

}  // namespace reckon
