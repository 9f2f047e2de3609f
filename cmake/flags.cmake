# Compiler flags of the whole project, and the per-file flags of the kernels.

add_library(reckon_flags INTERFACE)
target_compile_options(reckon_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers
  -ffp-contract=off -fno-math-errno -fno-trapping-math)
# gcc 12 sees overlaps in std::string's operator+ that are not there (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(reckon_flags INTERFACE -Wno-restrict)
endif()
if(RECKON_WERROR)
  target_compile_options(reckon_flags INTERFACE -Werror)
endif()
if(RECKON_SANITIZE)
  target_compile_options(reckon_flags INTERFACE -fsanitize=${RECKON_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(reckon_flags INTERFACE -fsanitize=${RECKON_SANITIZE})
endif()
if(RECKON_FUZZ)
  target_compile_options(reckon_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(RECKON_COVERAGE)
  target_compile_options(reckon_flags INTERFACE --coverage)
  target_link_options(reckon_flags INTERFACE --coverage)
endif()

# gcc 12 calls the undefined registers of its own AVX-512 header uninitialised (GCC bug 105593).
set(avx512_quiet "")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(avx512_quiet "-Wno-maybe-uninitialized;-Wno-uninitialized")
endif()

# clang's check of indirect calls would put type information, weak symbols, into the kernels.
set(kernel_quiet "")
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND RECKON_SANITIZE MATCHES "undefined")
  set(kernel_quiet "-fno-sanitize=function")
endif()

# A kernel file is named src/kernels/<what>_<isa>.cc; its suffix chooses the instruction set.
function(reckon_kernel_flags)
  foreach(source ${ARGN})
    if(source MATCHES "/src/kernels/.*_scalar\\.cc$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-O3;-fno-exceptions;${kernel_quiet}")
    elseif(source MATCHES "/src/kernels/.*_avx2\\.cc$")
      set_source_files_properties(${source} PROPERTIES
        COMPILE_OPTIONS "-O3;-fno-exceptions;${kernel_quiet};-mavx2;-mfma;-mf16c")
    elseif(source MATCHES "/src/kernels/.*_avx512bf16\\.cc$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
        "-O3;-fno-exceptions;${kernel_quiet};-mavx2;-mfma;-mf16c;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512bf16;-mprefer-vector-width=512;${avx512_quiet}")
    elseif(source MATCHES "/src/kernels/.*_avx512\\.cc$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
        "-O3;-fno-exceptions;${kernel_quiet};-mavx2;-mfma;-mf16c;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mprefer-vector-width=512;${avx512_quiet}")
    endif()
  endforeach()
endfunction()
