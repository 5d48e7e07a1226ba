#include "notes/checksum.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <string_view>

namespace {

std::uint32_t crc_of(std::string_view text, std::uint32_t before = 0) {
    return notes::crc32c(std::as_bytes(std::span(text)), before);
}

}  // namespace

TEST_CASE("notes checksum: it gives the published values", "[notes]") {
    CHECK(crc_of("123456789") == 0xe3069283);
    CHECK(crc_of("") == 0);
    // RFC 3720, appendix B.4.
    CHECK(crc_of(std::string(32, '\0')) == 0x8a9136aa);
    CHECK(crc_of(std::string(32, '\xff')) == 0x62a8ab43);
    std::string counting;
    for (int i = 0; i < 32; ++i) { counting += static_cast<char>(i); }
    CHECK(crc_of(counting) == 0x46dd794e);
}

TEST_CASE("notes checksum: it can be computed in pieces", "[notes]") {
    const std::string_view text = "the quick brown fox jumps over the lazy dog";
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        CHECK(crc_of(text.substr(cut), crc_of(text.substr(0, cut))) == crc_of(text));
    }
}
