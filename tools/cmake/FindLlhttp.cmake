# Finds llhttp, with which tests compare, in whichever form the system has it: as C sources (Debian 12's
# node-llhttp), or as a library (libllhttp-dev of newer ones).
#
#   Llhttp_INCLUDE_DIR   where llhttp.h is
#   Llhttp_SOURCES       the C files to compile; empty: link to the library `llhttp`
#   Llhttp_VERSION       e.g. 8.1.0

find_path(Llhttp_SOURCE_DIR NAMES llhttp.c PATHS /usr/share PATH_SUFFIXES llhttp llhttp/src)
find_library(Llhttp_LIBRARY NAMES llhttp)
find_path(Llhttp_INCLUDE_DIR NAMES llhttp.h
          PATHS /usr/share/include /usr/include PATH_SUFFIXES llhttp)

if(Llhttp_INCLUDE_DIR)
    foreach(part MAJOR MINOR PATCH)
        file(STRINGS "${Llhttp_INCLUDE_DIR}/llhttp.h" line
             REGEX "^#define LLHTTP_VERSION_${part} +[0-9]+")
        string(REGEX REPLACE ".* ([0-9]+)$" "\\1" Llhttp_VERSION_${part} "${line}")
    endforeach()
    set(Llhttp_VERSION "${Llhttp_VERSION_MAJOR}.${Llhttp_VERSION_MINOR}.${Llhttp_VERSION_PATCH}")
endif()

set(Llhttp_SOURCES "")
set(Llhttp_FORM "${Llhttp_LIBRARY}")
if(Llhttp_SOURCE_DIR)
    set(Llhttp_FORM "${Llhttp_SOURCE_DIR}")
    set(Llhttp_SOURCES "${Llhttp_SOURCE_DIR}/api.c" "${Llhttp_SOURCE_DIR}/http.c"
                       "${Llhttp_SOURCE_DIR}/llhttp.c")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    Llhttp
    REQUIRED_VARS Llhttp_FORM Llhttp_INCLUDE_DIR
    VERSION_VAR Llhttp_VERSION
    REASON_FAILURE_MESSAGE "apt install node-llhttp on Debian 12, libllhttp-dev on newer ones")
mark_as_advanced(Llhttp_INCLUDE_DIR Llhttp_SOURCE_DIR Llhttp_LIBRARY)
