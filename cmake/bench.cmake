# Benchmarks: Google Benchmark for kernels beside their sources, and the programs of bench/.

find_package(benchmark REQUIRED)

file(GLOB kernel_benches CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*/*_bench.cc)
if(kernel_benches)
  add_executable(kernel_bench ${kernel_benches})
  target_link_libraries(kernel_bench PRIVATE reckon_core benchmark::benchmark)
endif()

file(GLOB programs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*.cc)
foreach(program ${programs})
  get_filename_component(name ${program} NAME_WE)
  add_executable(${name} ${program})
  target_link_libraries(${name} PRIVATE reckon_core CLI11::CLI11)
endforeach()
