# Shared by the scripts of this folder; to be sourced. Works from any directory.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_packages="g++ cmake ninja-build pkg-config libfmt-dev nlohmann-json3-dev libssl-dev libcli11-dev libpcre2-dev libedit-dev"
test_packages="libgtest-dev libgmock-dev libbenchmark-dev python3 clang libclang-rt-14-dev clang-format clang-tidy"

say() { printf '%s\n' "== $*" >&2; }

# Installs those of the Debian packages given that are missing, and says which.
need_packages() {
  local missing="" package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  say "installing Debian packages:$missing"
  local as_root="" log
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
      echo "These packages are missing and this is neither root nor has sudo; install them:$missing" >&2
      exit 1
    }
    as_root="sudo"
  fi
  log=$(mktemp)
  # shellcheck disable=SC2086
  if ! { $as_root apt-get update -q && $as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    echo "apt-get could not install:$missing (its last words are above)" >&2
    exit 1
  fi
  rm -f "$log"
}

# build PRESET TARGET... [-- CMAKE_ARG...]: configures and builds; a log is shown when it fails.
build() {
  local preset=$1 targets=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do targets+=("$1"); shift; done
  [ "${1:-}" = -- ] && shift
  (cd "$root" && cmake --preset "$preset" "$@" >"/tmp/reckon-configure.$$" 2>&1) || {
    cat "/tmp/reckon-configure.$$" >&2
    rm -f "/tmp/reckon-configure.$$"
    exit 1
  }
  rm -f "/tmp/reckon-configure.$$"
  cmake --build "$root/build/$preset" --target "${targets[@]}" >&2
}
