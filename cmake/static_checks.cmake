# Checks of the sources and of the kernels' symbols, as tests; label = static.

find_package(Python3 3.9 COMPONENTS Interpreter)
if(NOT Python3_Interpreter_FOUND)
  message(STATUS "no python3: the tests with the label static are left out")
  return()
endif()

function(reckon_static_check name script)
  add_test(NAME static.${name} COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/${script} ${ARGN})
  set_tests_properties(static.${name} PROPERTIES LABELS static TIMEOUT 120)
endfunction()

reckon_static_check(layers check_layers.py)
reckon_static_check(layers_docs check_layers.py --check-docs)
reckon_static_check(layers_self_test check_layers.py --self-test)

if(RECKON_SANITIZE OR RECKON_COVERAGE)
  set(instrumented --instrumented)
endif()
reckon_static_check(kernel_symbols check_kernel_symbols.py ${instrumented} $<TARGET_FILE:reckon_core>)
reckon_static_check(kernel_symbols_self_test check_kernel_symbols.py --self-test
                    --cxx ${CMAKE_CXX_COMPILER})
