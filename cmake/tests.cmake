# One test binary a layer (src/<layer>/*_test.cc) and one a folder of tests/; label = that name.

function(reckon_test_binary name label)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE reckon_core GTest::gmock GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(${name} PRIVATE RECKON_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                             RECKON_BINARY_DIR="${CMAKE_BINARY_DIR}")
  include(GoogleTest)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS ${label})
endfunction()

file(GLOB layers RELATIVE ${CMAKE_SOURCE_DIR}/src CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*)
foreach(layer ${layers})
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${layer}/*_test.cc)
  if(tests AND NOT layer STREQUAL "cli")
    reckon_test_binary(test_${layer} unit ${tests})
  endif()
endforeach()

# What tests of the binary share: running it, a recipe of seconds, the meter of allocations.
file(GLOB support CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/support/*.cc)
add_library(test_support STATIC ${support})
target_link_libraries(test_support PUBLIC reckon_core)
target_include_directories(test_support PUBLIC ${CMAKE_SOURCE_DIR})
target_compile_definitions(test_support PRIVATE RECKON_BINARY_DIR="${CMAKE_BINARY_DIR}")

foreach(folder golden integration cli)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/*_test.cc)
  if(tests)
    reckon_test_binary(test_${folder} ${folder} ${tests})
    target_link_libraries(test_${folder} PRIVATE test_support)
    if(TARGET reckon)
      add_dependencies(test_${folder} reckon)
    endif()
  endif()
endforeach()
