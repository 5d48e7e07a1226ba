# Finds liburing and defines Liburing::Liburing.
#
# The header is only needed to build heph-rt, so a missing one is no failure here: programs that use
# an installed heph-rt only link to the library.

find_path(Liburing_INCLUDE_DIR NAMES liburing.h)
find_library(Liburing_LIBRARY NAMES uring)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    Liburing REQUIRED_VARS Liburing_LIBRARY
    REASON_FAILURE_MESSAGE "on Debian and Ubuntu: apt install liburing-dev")

if(Liburing_FOUND AND NOT TARGET Liburing::Liburing)
    add_library(Liburing::Liburing UNKNOWN IMPORTED)
    set_target_properties(Liburing::Liburing PROPERTIES IMPORTED_LOCATION "${Liburing_LIBRARY}")
    if(Liburing_INCLUDE_DIR)
        target_include_directories(Liburing::Liburing INTERFACE "${Liburing_INCLUDE_DIR}")
    endif()
endif()
mark_as_advanced(Liburing_INCLUDE_DIR Liburing_LIBRARY)
