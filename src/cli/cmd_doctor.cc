// reckon doctor: what this machine is, and whether the kernels work on it.

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/files.h"
#include "base/thread_pool.h"
#include "cli/commands.h"
#include "cost/receipt.h"
#include "formats/json.h"
#include "kernels/kernel_table.h"

namespace reckon {
namespace {

constexpr const char* kPackages[] = {"g++",          "cmake",       "ninja-build",
                                     "pkg-config",   "libfmt-dev",  "nlohmann-json3-dev",
                                     "libcli11-dev", "libssl-dev",  "libpcre2-dev",
                                     "libedit-dev",  "libgtest-dev"};

Json IsaReport(bool& good) {
  Json rows = Json::array();
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
    const KernelTable* table = FindKernelTable(isa);
    std::string state = "not on this CPU";
    if (table != nullptr) {
      const char* failed = SelfTest(*table);
      state = failed == nullptr ? "passed" : fmt::format("FAILED: {}", failed);
      good = good && failed == nullptr;
    }
    rows.push_back({{"isa", Name(isa)}, {"self_test", state}});
  }
  return rows;
}

// From dpkg's own list of installed packages; null where the system has none.
Json PackageReport() {
  if (!FileExists("/var/lib/dpkg/info")) return {};
  Json rows = Json::object();
  for (const char* package : kPackages) {
    const std::string base = fmt::format("/var/lib/dpkg/info/{}", package);
    rows[package] = FileExists(base + ".list") || FileExists(base + ":amd64.list");
  }
  return rows;
}

Json MakeReport(int threads, bool& good) {
  struct sysinfo memory {};
  sysinfo(&memory);
  struct statvfs disk {};
  statvfs(".", &disk);
  const double unit = static_cast<double>(memory.mem_unit);
  const char* forced = std::getenv("RECKON_ISA");
  const KernelTable* chosen = ChooseKernelTable(forced);
  good = chosen != nullptr;
  Json report = {{"version", RECKON_VERSION},
                 {"cpu", CpuModelName()},
                 {"threads", threads},
                 {"isa", IsaReport(good)},
                 {"isa_in_use", chosen == nullptr ? Json() : Json(chosen->isa)},
                 {"isa_forced", forced == nullptr ? Json() : Json(forced)}};
  report["memory_total_bytes"] = static_cast<double>(memory.totalram) * unit;
  report["memory_free_bytes"] = static_cast<double>(memory.freeram + memory.bufferram) * unit;
  report["disk_free_bytes"] =
      static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize);
  report["packages"] = PackageReport();
  report["good"] = good;
  return report;
}

void Print(const Json& r) {
  const auto gib = [&](const char* key) { return r[key].get<double>() / (1 << 30); };
  std::printf("reckon %s\nCPU       %s, %d threads\n", r["version"].get<std::string>().c_str(),
              r["cpu"].get<std::string>().c_str(), r["threads"].get<int>());
  for (const Json& row : r["isa"]) {
    const std::string name = row["isa"].get<std::string>();
    const bool used = r["isa_in_use"].is_string() && r["isa_in_use"] == name;
    std::printf("kernels   %-11s %s%s\n", name.c_str(), row["self_test"].get<std::string>().c_str(),
                used ? "   <- in use" : "");
  }
  if (r["isa_in_use"].is_null()) {
    std::printf("kernels   RECKON_ISA=%s cannot be used here\n",
                r["isa_forced"].is_string() ? r["isa_forced"].get<std::string>().c_str() : "");
  }
  std::printf("memory    %.1f GiB, %.1f free\ndisk      %.1f GiB free here\n",
              gib("memory_total_bytes"), gib("memory_free_bytes"), gib("disk_free_bytes"));
  if (r["packages"].is_object()) {
    std::string missing;
    for (const auto& item : r["packages"].items()) {
      if (!item.value().get<bool>()) missing += " " + item.key();
    }
    std::printf("packages  %s\n", missing.empty() ? "all there" : ("missing:" + missing).c_str());
  }
  std::printf("%s\n", r["good"].get<bool>() ? "all good" : "something is wrong: see above");
}

}  // namespace

void RegisterDoctor(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  auto json = std::make_shared<bool>(false);
  CLI::App* sub = app.add_subcommand("doctor", "Check CPU, kernels, memory and packages");
  sub->add_flag("--json", *json, "For programs");
  sub->footer("Example:\n  reckon doctor\n  RECKON_ISA=avx2 reckon doctor --json");
  sub->callback([json, &global, &exit_code] {
    bool good = false;
    const Json report = MakeReport(global.threads, good);
    if (*json) {
      std::printf("%s\n", report.dump(2).c_str());
    } else {
      Print(report);
    }
    exit_code = good ? 0 : 1;
  });
}

}  // namespace reckon
