#include "file_body.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/http/conditional.hpp>
#include <heph/http/range.hpp>
#include <heph/rt/buffer.hpp>

#include "../conditional_answers.hpp"
#include "../file_pieces.hpp"

namespace heph::http::detail {

namespace {

using outcome = std::expected<void, error>;

// What is smaller leaves in one piece with its head.
constexpr std::size_t small_bytes_max = 64 * 1024;

/// Text, and the bytes of a file behind it.
struct part {
    std::string before;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
};

/// What is sent of a file.
struct file_body {
    rt::fs::file file;
    std::vector<part> parts;

    [[nodiscard]] std::uint64_t size() const noexcept {
        std::uint64_t all = 0;
        for (const part& each : parts) { all += each.before.size() + each.size; }
        return all;
    }
};

task<outcome> send(file_body* body, body_writer* to) {
    for (const part& each : body->parts) {
        if (!each.before.empty()) {
            const outcome written = co_await to->write(each.before);
            if (!written) { co_return written; }
        }
        if (each.size == 0) { continue; }
        const outcome written = co_await to->write_file(body->file, each.offset, each.size);
        if (!written) { co_return written; }
    }
    co_return outcome();
}

// Gives a small body at once, and a large one as it is asked for.
task<response> with_body(response answer, file_body body, bool with_content) {
    const bool small = body.parts.size() == 1 && body.parts.front().before.empty() &&
                       body.parts.front().size <= small_bytes_max;
    if (small && with_content) {
        const part all = body.parts.front();
        auto reading = read_file_piece(&body.file, rt::buffer(), all.offset,
                                       static_cast<std::size_t>(all.size));
        auto got = co_await std::move(reading);
        if (!got) { co_return response::problem(got.error()); }
        answer.set_body(std::string(got->view()));
        co_return answer;
    }
    const std::uint64_t size = body.size();
    auto owned = std::make_unique<file_body>(std::move(body));
    answer.set_stream(
        [owned = std::move(owned)](body_writer& to) { return send(owned.get(), &to); });
    answer.set_content_length(size);
    co_return answer;
}

std::vector<part> multipart(const std::vector<byte_range>& ranges, std::uint64_t size,
                            std::string_view type, const std::string& boundary) {
    std::vector<part> parts;
    for (const byte_range& range : ranges) {
        part& next = parts.emplace_back();
        next.before = parts.size() == 1 ? std::string() : std::string("\r\n");
        next.before += part_head(boundary, type, range, size);
        next.offset = range.first;
        next.size = range.size();
    }
    parts.emplace_back().before = "\r\n" + parts_end(boundary);
    return parts;
}

}  // namespace

task<response> answer_with_file(const request* asked, response full, opened_file opened) {
    full.set_header("Accept-Ranges", "bytes");
    const bool reads_body = asked->method() != method::head;
    const std::uint64_t size = opened.size;
    file_body body;
    body.file = std::move(opened.file);
    if (auto instead = conditional_answer(*asked, full)) {
        instead->set_stands_for(full, size);
        co_return std::move(*instead);
    }
    const auto ranges = ranges_asked_for(*asked, validators::of(full.headers()), size);
    if (!ranges && ranges.error() == range_error::unsatisfiable) { co_return beyond_end(size); }
    if (ranges) { full.set_stands_for(full, size); }
    if (!ranges) {
        body.parts.emplace_back().size = size;
    } else if (ranges->size() == 1) {
        const byte_range only = ranges->front();
        part& all = body.parts.emplace_back();
        all.offset = only.first;
        all.size = only.size();
        full.set_status(status::partial_content);
        full.set_header("Content-Range", content_range(only, size));
    } else {
        const std::string type(full.headers().get("Content-Type").value_or(""));
        // What a file has cannot be looked through: a boundary that nobody can foresee.
        const std::string boundary = unforeseeable_boundary();
        body.parts = multipart(*ranges, size, type, boundary);
        full.set_status(status::partial_content);
        full.set_header("Content-Type", "multipart/byteranges; boundary=" + boundary);
    }
    auto completing = with_body(std::move(full), std::move(body), reads_body);
    response answer = co_await std::move(completing);
    co_return answer;
}

}  // namespace heph::http::detail
