# Compiler flags for developing heph itself. Nothing here reaches a package's users.

option(HEPH_WERROR "Treat warnings as errors" OFF)
option(HEPH_ENABLE_ASSERTS "Check invariants in builds without debug assertions, too" OFF)
option(HEPH_COVERAGE "Instrument for gcov" OFF)
set(HEPH_SANITIZE "" CACHE STRING "Comma-separated sanitizers, as -fsanitize takes them")

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

# The C sources of llhttp, for tests, are not ours to warn about.
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wconversion;-Wshadow>")
if(HEPH_QUICK_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # It takes a source that is one of many for a header, of whose types it warns.
    add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>")
endif()
if(HEPH_WERROR)
    add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Werror>")
endif()

if(HEPH_ENABLE_ASSERTS)
    add_compile_definitions(HEPH_ENABLE_ASSERTS)
endif()

if(HEPH_SANITIZE)
    add_compile_options(-fsanitize=${HEPH_SANITIZE} -fno-omit-frame-pointer
                        -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${HEPH_SANITIZE})
endif()

if(HEPH_COVERAGE)
    add_compile_options(--coverage)
    add_link_options(--coverage)
endif()
