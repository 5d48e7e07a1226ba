# Finds the libraries of Brotli, which come without a CMake package:
#
#   Brotli::enc, Brotli::dec   targets for the encoder and the decoder
#   Brotli_VERSION             where pkg-config tells it

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
    pkg_check_modules(PC_Brotli QUIET libbrotlienc libbrotlidec)
endif()
set(Brotli_VERSION "${PC_Brotli_libbrotlidec_VERSION}")

find_path(Brotli_INCLUDE_DIR NAMES brotli/decode.h HINTS ${PC_Brotli_libbrotlidec_INCLUDEDIR})
foreach(part enc dec common)
    find_library(Brotli_${part}_LIBRARY NAMES brotli${part} brotli${part}-static
                 HINTS ${PC_Brotli_libbrotlidec_LIBDIR})
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    Brotli
    REQUIRED_VARS Brotli_enc_LIBRARY Brotli_dec_LIBRARY Brotli_common_LIBRARY Brotli_INCLUDE_DIR
    VERSION_VAR Brotli_VERSION
    REASON_FAILURE_MESSAGE "on Debian and Ubuntu: apt install libbrotli-dev")

if(Brotli_FOUND)
    foreach(part enc dec)
        if(NOT TARGET Brotli::${part})
            add_library(Brotli::${part} UNKNOWN IMPORTED)
            set_target_properties(
                Brotli::${part}
                PROPERTIES IMPORTED_LOCATION "${Brotli_${part}_LIBRARY}"
                           INTERFACE_INCLUDE_DIRECTORIES "${Brotli_INCLUDE_DIR}"
                           INTERFACE_LINK_LIBRARIES "${Brotli_common_LIBRARY}")
        endif()
    endforeach()
endif()
mark_as_advanced(Brotli_INCLUDE_DIR Brotli_enc_LIBRARY Brotli_dec_LIBRARY Brotli_common_LIBRARY)
