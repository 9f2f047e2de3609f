# Fuzz targets: one binary fuzz_<name> for each tests/fuzz/fuzz_<name>.cc.

file(GLOB targets CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_*.cc)
set(fuzz_names "")
foreach(source ${targets})
  get_filename_component(name ${source} NAME_WE)
  list(APPEND fuzz_names ${name})
  add_executable(${name} ${source} ${CMAKE_SOURCE_DIR}/tests/fuzz/support.cc
                 ${CMAKE_SOURCE_DIR}/tests/support/allocation_meter.cc)
  target_link_libraries(${name} PRIVATE reckon_core)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endforeach()
add_custom_target(fuzz_targets DEPENDS ${fuzz_names})
