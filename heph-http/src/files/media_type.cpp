#include <array>
#include <string_view>

#include <heph/http/headers.hpp>
#include <heph/http/static_files.hpp>

namespace heph::http {

namespace {

struct known_type {
    std::string_view ending;
    std::string_view type;
};

// What web sites are made of, by the IANA registry.
constexpr std::array known_types{
    known_type{"avif", "image/avif"},
    known_type{"bin", "application/octet-stream"},
    known_type{"bmp", "image/bmp"},
    known_type{"css", "text/css; charset=utf-8"},
    known_type{"csv", "text/csv; charset=utf-8"},
    known_type{"flac", "audio/flac"},
    known_type{"gif", "image/gif"},
    known_type{"gz", "application/gzip"},
    known_type{"htm", "text/html; charset=utf-8"},
    known_type{"html", "text/html; charset=utf-8"},
    known_type{"ico", "image/vnd.microsoft.icon"},
    known_type{"ics", "text/calendar; charset=utf-8"},
    known_type{"jpeg", "image/jpeg"},
    known_type{"jpg", "image/jpeg"},
    known_type{"js", "text/javascript; charset=utf-8"},
    known_type{"json", "application/json"},
    known_type{"jsonld", "application/ld+json"},
    known_type{"jxl", "image/jxl"},
    known_type{"m4a", "audio/mp4"},
    known_type{"map", "application/json"},
    known_type{"md", "text/markdown; charset=utf-8"},
    known_type{"mjs", "text/javascript; charset=utf-8"},
    known_type{"mp3", "audio/mpeg"},
    known_type{"mp4", "video/mp4"},
    known_type{"oga", "audio/ogg"},
    known_type{"ogg", "audio/ogg"},
    known_type{"ogv", "video/ogg"},
    known_type{"opus", "audio/ogg"},
    known_type{"otf", "font/otf"},
    known_type{"pdf", "application/pdf"},
    known_type{"png", "image/png"},
    known_type{"rss", "application/rss+xml"},
    known_type{"svg", "image/svg+xml"},
    known_type{"tar", "application/x-tar"},
    known_type{"tif", "image/tiff"},
    known_type{"tiff", "image/tiff"},
    known_type{"toml", "application/toml"},
    known_type{"ttf", "font/ttf"},
    known_type{"txt", "text/plain; charset=utf-8"},
    known_type{"vtt", "text/vtt; charset=utf-8"},
    known_type{"wasm", "application/wasm"},
    known_type{"wav", "audio/wav"},
    known_type{"webm", "video/webm"},
    known_type{"webmanifest", "application/manifest+json"},
    known_type{"webp", "image/webp"},
    known_type{"woff", "font/woff"},
    known_type{"woff2", "font/woff2"},
    known_type{"xhtml", "application/xhtml+xml"},
    known_type{"xml", "application/xml"},
    known_type{"yaml", "application/yaml"},
    known_type{"yml", "application/yaml"},
    known_type{"zip", "application/zip"},
    known_type{"zst", "application/zstd"},
};

}  // namespace

std::string_view media_type_of(std::string_view file_name) noexcept {
    const std::string_view name = file_name.substr(file_name.rfind('/') + 1);
    const std::size_t dot = name.rfind('.');
    // `.css` is a hidden file without an ending.
    if (dot != std::string_view::npos && dot > 0) {
        const std::string_view ending = name.substr(dot + 1);
        for (const known_type& each : known_types) {
            if (equal_ignoring_case(each.ending, ending)) { return each.type; }
        }
    }
    return "application/octet-stream";
}

}  // namespace heph::http
