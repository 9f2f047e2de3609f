#include "train/stage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "base/math.h"
#include "formats/tensorboard.h"
#include "model/weights.h"

namespace reckon {
namespace {

constexpr const char* kCheckpoint = "/checkpoint";

// The lines of metrics.jsonl whose step is below `resume_step`.
std::string LinesBefore(const std::string& path, int64_t resume_step) {
  std::string kept;
  if (resume_step == 0 || !FileExists(path)) return kept;
  const std::string text = ReadFile(path);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // a torn last line
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const Json row = Json::parse(line, nullptr, false);
    if (!row.is_object() || !row.contains("step") || !row["step"].is_number_integer()) continue;
    if (row["step"].get<int64_t>() < resume_step) kept += line + "\n";
  }
  return kept;
}

void RemoveEventFiles(const std::string& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().rfind("events.out.tfevents.", 0) == 0) {
      std::filesystem::remove(entry.path());
    }
  }
}

}  // namespace

struct MetricsWriter::Impl {
  std::string path;
  int fd = -1;
  std::string pending;
  std::unique_ptr<TensorBoardWriter> board;

  void Board(int64_t step, const std::string& name, double value) const {
    board->WriteScalar(step, name, static_cast<float>(value), 0);
  }
  // TensorBoard's file is written anew, so that it too reads as that of an undisturbed run.
  void ReplayToBoard(const std::string& lines) const {
    for (size_t begin = 0; begin < lines.size();) {
      const size_t end = lines.find('\n', begin);
      const Json row = Json::parse(lines.substr(begin, end - begin));
      begin = end + 1;
      for (const auto& item : row.items()) {
        if (item.key() != "step" && item.value().is_number()) {
          Board(row["step"].get<int64_t>(), item.key(), item.value().get<double>());
        }
      }
    }
  }
};

MetricsWriter::MetricsWriter(const std::string& folder, int64_t resume_step)
    : impl_(std::make_unique<Impl>()) {
  impl_->path = folder + "/metrics.jsonl";
  const std::string kept = LinesBefore(impl_->path, resume_step);
  WriteFileAtomically(impl_->path, kept);
  impl_->fd = ::open(impl_->path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (impl_->fd < 0) {
    Throw(ErrorKind::kIo, fmt::format("{}: opening failed: {}", impl_->path, std::strerror(errno)));
  }
  RemoveEventFiles(folder);
  impl_->board = std::make_unique<TensorBoardWriter>(folder + "/events.out.tfevents.reckon");
  impl_->ReplayToBoard(kept);
}

MetricsWriter::~MetricsWriter() {
  try {
    Flush();
  } catch (const Error&) {
    // A destructor cannot report; the stage's own Flush has.
  }
  ::close(impl_->fd);
}

void MetricsWriter::Write(int64_t step, const Metrics& metrics) {
  Json row = {{"step", step}};
  for (const auto& [name, value] : metrics) {
    row[name] = std::isfinite(value) ? Json(value) : Json();
    if (std::isfinite(value)) impl_->Board(step, name, value);
  }
  impl_->pending += row.dump() + "\n";
  if (impl_->pending.size() > 4096) Flush();
}

void MetricsWriter::Flush() {
  std::string_view rest = impl_->pending;
  const off_t before = ::lseek(impl_->fd, 0, SEEK_END);
  while (!rest.empty()) {
    const ssize_t written = ::write(impl_->fd, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      impl_->pending.clear();
      if (::ftruncate(impl_->fd, before) != 0) {
        // A torn last line stays; LinesBefore drops it.
      }
      Throw(ErrorKind::kIo,
            fmt::format("{}: writing failed: {}", impl_->path, std::strerror(error)));
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
  impl_->pending.clear();
  impl_->board->Flush();
}

void SaveStageCheckpoint(const StageContext& context, Model& model, const AdamW& optimizer,
                         const Json& state,
                         const std::function<void(const std::string& folder)>& extra) {
  WriteFolderAtomically(context.folder + kCheckpoint, [&](const std::string& folder) {
    MakeFolders(folder + "/model");
    SaveModel(model, folder + "/model");
    optimizer.Save(folder + "/optimizer.safetensors");
    if (extra) extra(folder);
    WriteJsonFile(folder + "/state.json", state);
  });
}

std::optional<Json> LoadStageCheckpoint(
    const StageContext& context, Model& model, AdamW& optimizer,
    const std::function<void(const std::string& folder)>& extra) {
  RemoveTemporaries(context.folder);
  const std::string folder = context.folder + kCheckpoint;
  if (!FileExists(folder)) return {};
  const std::unique_ptr<Model> saved = LoadModel(folder + "/model");
  const std::vector<Model::NamedTensor> from = saved->named_tensors(), to = model.named_tensors();
  bool same = from.size() == to.size();
  for (size_t i = 0; same && i < from.size(); ++i) {
    same = from[i].name == to[i].name && from[i].shape == to[i].shape;
  }
  if (!same) {
    Throw(ErrorKind::kInvalidArgument,
          folder + ": holds another model than this stage trains; remove it or use another output");
  }
  for (size_t i = 0; i < from.size(); ++i) {
    std::memcpy(to[i].data, from[i].data,
                static_cast<size_t>(NumElements(from[i].shape)) * sizeof(float));
  }
  model.Changed();
  optimizer.Load(folder + "/optimizer.safetensors");
  if (extra) extra(folder);
  return ReadJsonFile(folder + "/state.json");
}

double LrSchedule::At(int64_t step) const {
  if (step < warmup_steps) {
    return learning_rate * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  }
  if (kind == ScheduleKind::kConstant) return learning_rate;
  const double span = learning_rate - min_learning_rate;
  const int64_t left = std::max<int64_t>(total_steps - warmup_steps, 1);
  const double done =
      std::min(1.0, static_cast<double>(step - warmup_steps) / static_cast<double>(left));
  if (kind == ScheduleKind::kConstantThenDecay) {
    const double begin = 1 - decay_fraction;
    if (done <= begin || decay_fraction <= 0) return learning_rate;
    return min_learning_rate + span * (1 - (done - begin) / decay_fraction);
  }
  double sine = 0, cosine = 0;
  SinCos(3.14159265358979323846 * done, &sine, &cosine);
  return min_learning_rate + 0.5 * span * (1 + cosine);
}

}  // namespace reckon
