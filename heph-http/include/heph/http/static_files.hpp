#pragma once

// Serving the files of a folder.
//
//     heph::http::static_file_options options;
//     options.cache_control = "public, max-age=3600";
//     router.get("/{path...}", heph::http::static_files("/srv/www", options));

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/http/router.hpp>

namespace heph::http {

/// How files are served.
struct static_file_options {
    /// The parameter of the route that holds the path below the folder.
    std::string parameter = "path";
    /// The file that answers for a folder; empty: a folder is 404.
    std::string index = "index.html";
    /// Serves names that begin with a dot, which are 404 otherwise.
    bool dotfiles = false;
    /// Sends `a.css.br` or `a.css.gz` for `a.css`, with `Content-Encoding`, when it is there, no
    /// older, and the client takes it.
    bool precompressed = false;
    /// The value of `Cache-Control`; empty leaves it out: caches guess by `Last-Modified`.
    std::string cache_control = {};
    /// Media types by the ending of a name, without the dot, in lower case; before those that
    /// `media_type_of` knows.
    std::vector<std::pair<std::string, std::string>> types = {};
};

/// Makes a handler that answers GET and HEAD with the files below `root`.
///
/// No path leads out of the folder, whatever its dots, encoded slashes and symbolic links say: the
/// kernel resolves it beneath the folder (openat2), which also holds while links change. Links
/// within the folder are followed. It is the folder that `root` names now that is served, even when
/// another one takes its name later.
///
/// Answers carry `ETag`, `Last-Modified`, `Accept-Ranges` and `X-Content-Type-Options: nosniff`;
/// conditions and ranges, also several, are answered as RFC 9110 has it. A folder without a slash
/// at the end of its path is redirected there. Bodies are read 64 KiB at a time, as the client
/// takes them; when a file gets shorter meanwhile, the connection is cut.
///
/// A file that changes in place, keeping its size, within the resolution of the file system's clock
/// keeps its tag: replace files by renaming.
///
/// *Errors*: throws `std::system_error` when `root` is no folder, or the kernel refuses openat2.
[[nodiscard]] handler static_files(const std::filesystem::path& root,
                                   static_file_options options = {});

/// Gives the media type by the ending of a file's name, with the charset for text;
/// `application/octet-stream` when it is not known.
[[nodiscard]] std::string_view media_type_of(std::string_view file_name) noexcept;

}  // namespace heph::http
