// Files that are either whole or not there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace reckon {

std::string ReadFile(const std::string& path);  // throws kNotFound or kIo with the path

// Writes path + ".tmp-<pid>", fsyncs it, renames it over `path`, fsyncs the folder. On failure the
// temporary is removed and Error{kIo} says path, reason and bytes wanted. `fill` writes through the
// callback it is given, any number of times.
using WriteBytes = std::function<void(std::span<const std::byte>)>;
void WriteFileAtomically(const std::string& path,
                         const std::function<void(const WriteBytes&)>& fill);
void WriteFileAtomically(const std::string& path, std::string_view contents);
// Lets `fill` write through to `write`, never more than `wanted` bytes; throws kInternal, beginning
// with `what`, unless it wrote just as many.
void WriteExactly(const WriteBytes& write, uint64_t wanted, const std::string& what,
                  const std::function<void(const WriteBytes&)>& fill);

// Makes `folder` appear whole: `fill` writes into folder + ".tmp-<pid>", which then replaces it.
void WriteFolderAtomically(const std::string& folder,
                           const std::function<void(const std::string& temporary)>& fill);
// Removes leftovers "<name>.tmp-*" in a folder (from a killed process).
void RemoveTemporaries(const std::string& folder);
void MakeFolders(const std::string& path);
bool FileExists(const std::string& path);

}  // namespace reckon
