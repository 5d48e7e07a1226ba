#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <optional>
#include <span>

#include <heph/http/conditional.hpp>
#include <heph/http/date.hpp>
#include <heph/http/negotiation.hpp>
#include <heph/http/static_files.hpp>

#include "../h1/field_writer.hpp"
#include "file_body.hpp"
#include "folder.hpp"

namespace heph::http {

namespace {

using detail::opened_file;

/// A folder that is served, and how.
struct site {
    site(const std::filesystem::path& root, static_file_options how)
        : files(root), options(std::move(how)) {}

    detail::folder files;
    static_file_options options;
};

/// A representation of a file: itself, or a compressed one beside it.
struct representation {
    opened_file file;
    std::string_view encoding;  // Empty for the file itself.
};

// Tells whether a path may name something here: no empty segments but one at the end, which asks
// for a folder, nothing that is hidden, nothing that a browser takes for a slash.
bool is_servable(std::string_view path, bool dotfiles) noexcept {
    if (path.find('\\') != std::string_view::npos || path.find('\0') != std::string_view::npos) {
        return false;
    }
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        const std::string_view segment = path.substr(0, slash);
        if (segment.empty() || segment == "." || segment == "..") { return false; }
        if (segment.front() == '.' && !dotfiles) { return false; }
        path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    }
    return true;
}

response answer_failure(std::error_code failure) {
    if (failure == std::errc::permission_denied) { return response::problem(status::forbidden); }
    if (failure == std::errc::too_many_files_open ||
        failure == std::errc::too_many_files_open_in_system) {
        return response::problem(status::service_unavailable).set_header("Retry-After", "1");
    }
    for (const std::errc missing :
         {std::errc::no_such_file_or_directory, std::errc::not_a_directory,
          std::errc::too_many_symbolic_link_levels, std::errc::cross_device_link,
          std::errc::filename_too_long, std::errc::no_such_device_or_address}) {
        if (failure == missing) { return response::problem(status::not_found); }
    }
    return response::problem(status::internal_server_error);
}

std::string_view type_of(const static_file_options& options, std::string_view name) {
    const std::size_t dot = name.rfind('.');
    if (dot != std::string_view::npos) {
        for (const auto& [ending, type] : options.types) {
            if (equal_ignoring_case(ending, name.substr(dot + 1))) { return type; }
        }
    }
    return media_type_of(name);
}

// Strong: it changes with the file, as long as files are not rewritten within a tick of the clock.
// Builds give all files one time, and compressed ones may be equally long: the coding tells them
// apart.
std::string tag_of(const representation& of) {
    std::string tag = "\"";
    const auto nanoseconds = of.file.modified.time_since_epoch().count();
    h1::append_number(tag, static_cast<std::uint64_t>(nanoseconds), 16);
    tag += '-';
    h1::append_number(tag, of.file.size, 16);
    if (!of.encoding.empty()) { tag.append("-").append(of.encoding); }
    tag += '"';
    return tag;
}

// Chooses what is sent for a file: itself, or the compressed one that the client likes best.
task<representation> choose(std::shared_ptr<const site> served, const request* asked,
                            std::string path, opened_file plain) {
    struct coding {
        std::string_view name;
        std::string_view ending;
    };
    representation chosen{std::move(plain), {}};
    std::vector<coding> codings{{"br", ".br"}, {"gzip", ".gz"}};
    while (!codings.empty()) {
        std::vector<std::string_view> offers;
        for (const coding& each : codings) { offers.push_back(each.name); }
        offers.push_back("identity");
        const auto liked = choose_encoding(asked->headers(), offers);
        if (!liked || *liked == codings.size()) { break; }
        const coding wanted = codings[*liked];
        auto opening = served->files.open(path + std::string(wanted.ending));
        auto compressed = co_await std::move(opening);
        // One that was made of an older version of the file says something else.
        if (compressed && !compressed->is_folder && compressed->modified >= chosen.file.modified) {
            chosen.file = std::move(*compressed);
            chosen.encoding = wanted.name;
            break;
        }
        codings.erase(codings.begin() + static_cast<std::ptrdiff_t>(*liked));
    }
    co_return chosen;
}

response redirect_to_folder(const request& asked) {
    std::string to(asked.path());
    to += '/';
    // An empty query is not the same as none (RFC 3986, 6.2.3).
    if (asked.target().find('?') != std::string_view::npos) {
        to += '?';
        to += asked.query();
    }
    // Two slashes at the beginning would lead to another host.
    if (to.starts_with("//")) { return response::problem(status::not_found); }
    response answer = response::empty(status::moved_permanently);
    answer.set_header("Location", to);
    return answer;
}

/// The path of what is to be opened, relative to the folder.
std::string relative_path(std::string_view path) {
    if (path.ends_with('/')) { path.remove_suffix(1); }
    return path.empty() ? std::string(".") : std::string(path);
}

task<response> serve(std::shared_ptr<const site> served, request& asked) {
    const static_file_options& options = served->options;
    const std::string_view given = asked.param(options.parameter);
    if (!is_servable(given, options.dotfiles)) { co_return response::problem(status::not_found); }
    const bool wants_folder = given.empty() || given.ends_with('/');
    std::string path = relative_path(given);
    auto opening = served->files.open(path);
    auto found = co_await std::move(opening);
    if (!found) { co_return answer_failure(found.error()); }
    if (found->is_folder) {
        if (options.index.empty()) { co_return response::problem(status::not_found); }
        // An empty path stands for the route's own, which may or may not end with a slash.
        if (!wants_folder || !asked.path().ends_with('/')) { co_return redirect_to_folder(asked); }
        path += '/';
        path += options.index;
        auto opening_index = served->files.open(path);
        found = co_await std::move(opening_index);
        if (!found) { co_return answer_failure(found.error()); }
        if (found->is_folder) { co_return response::problem(status::not_found); }
    } else if (wants_folder) {
        co_return response::problem(status::not_found);
    }
    representation chosen{std::move(*found), {}};
    if (options.precompressed) {
        auto choosing = choose(served, &asked, path, std::move(chosen.file));
        chosen = co_await std::move(choosing);
    }
    response full(status::ok);
    full.set_header("Content-Type", type_of(options, path));
    full.set_header("ETag", tag_of(chosen));
    // Never later than `Date` (RFC 9110, 8.8.2.1), whatever a clock or an archive said.
    const auto second = std::chrono::floor<std::chrono::seconds>(chosen.file.modified);
    const auto modified =
        format_date(std::min(second, parse_date(current_date()).value_or(second)));
    full.set_header("Last-Modified", std::string_view(modified.data(), modified.size()));
    full.set_header("X-Content-Type-Options", "nosniff");
    if (!options.cache_control.empty()) { full.set_header("Cache-Control", options.cache_control); }
    if (options.precompressed) { full.set_header("Vary", "Accept-Encoding"); }
    if (!chosen.encoding.empty()) { full.set_header("Content-Encoding", chosen.encoding); }
    auto answering = detail::answer_with_file(&asked, std::move(full), std::move(chosen.file));
    response answer = co_await std::move(answering);
    co_return answer;
}

}  // namespace

handler static_files(const std::filesystem::path& root, static_file_options options) {
    return [served = std::make_shared<const site>(root, std::move(options))](request& asked) {
        return serve(served, asked);
    };
}

}  // namespace heph::http
