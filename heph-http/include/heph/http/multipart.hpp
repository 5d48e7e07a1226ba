#pragma once

// Forms with files: multipart/form-data (RFC 7578), read bit by bit.
//
//     auto form = http::multipart_reader::of(request);
//     if (!form) { co_return http::response::problem(form.error()); }
//     for (;;) {
//         auto part = co_await form->next_part();
//         if (!part) { co_return http::response::problem(part.error()); }
//         if (!*part) { break; }
//         if ((*part)->filename) { … while it gives pieces: co_await form->next() … }
//         else { auto value = co_await form->read_part(1000); … }
//     }

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/http/error.hpp>
#include <heph/http/headers.hpp>
#include <heph/http/request.hpp>

namespace heph::http {

/// What a form may cost. Sizes are in bytes.
struct multipart_limits {
    std::size_t parts_max = 100;             ///< `too_many_fields` beyond it.
    std::size_t part_head_bytes_max = 8192;  ///< `bad_multipart` beyond it.
};

/// What is said about a part of a form.
struct form_part {
    std::string name;
    /// What the browser calls the file; nothing for a plain field. `filename*` (RFC 8187, in UTF-8)
    /// goes before `filename`. It is the client's to choose: never a path to write to.
    std::optional<std::string> filename;
    std::string content_type;  ///< `text/plain` where nothing is said.
    http::headers headers;
};

/// Gives the boundary in the value of a `Content-Type: multipart/form-data`.
[[nodiscard]] std::optional<std::string> multipart_boundary(std::string_view content_type);

/// Reads the parts of a form: bytes in, events out, no I/O.
///
///     preamble --delimiter--> line --CRLF--> head --empty line--> data --delimiter--> line
///     head --empty line, delimiter--> line: the part is empty
///     line --"--"--> end: what follows is dropped;  any --malformed--> failed
///
/// Lines end in CR LF, and a delimiter stands at the beginning of one. A line that begins with a
/// delimiter and goes on otherwise is malformed: no data may have one (RFC 2046, 5.1.1). Lines of a
/// part's head may be folded. It holds no more than what
/// is fed at a time, a part's head, and a delimiter.
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class multipart_parser {
public:
    enum class event_kind : std::uint8_t {
        need_input,  ///< All input is used up, and more is needed.
        part,        ///< A part begins: `part()`.
        data,        ///< A piece of it: `event::data`.
        part_end,    ///< It has ended.
        end,         ///< The form is complete.
        error,       ///< It is refused: `event::failure`. Nothing follows.
    };
    struct event {
        event_kind kind = event_kind::need_input;
        std::string_view data = {};  ///< *Lifetime*: valid until the next call.
        http::error failure = {};
    };

    explicit multipart_parser(std::string_view boundary, const multipart_limits& bounds = {});

    /// Uses up `input` until there is something to tell.
    [[nodiscard]] event next(std::string_view& input);
    /// Gives what is said about the part that began last.
    [[nodiscard]] const form_part& part() const noexcept { return part_; }
    /// Tells whether the form was complete.
    [[nodiscard]] bool is_done() const noexcept { return state_ == state::end; }

private:
    enum class state : std::uint8_t {
        preamble,
        line,
        head,
        data_begin,
        data,
        part_end,
        end,
        failed,
    };

    event fail(http::error why) noexcept;
    std::optional<event> step();
    std::optional<event> find_delimiter();
    std::optional<event> take_line();
    std::optional<event> take_head();
    void begin_data() noexcept;
    bool read_head(std::string_view head);
    void drop(std::size_t count) noexcept { at_ += count; }
    [[nodiscard]] std::string_view rest() const noexcept {
        return std::string_view(held_).substr(at_);
    }

    multipart_limits limits_;
    std::string delimiter_;  // With the line end before it.
    std::string held_;
    std::size_t at_ = 0;  // What of `held_` is done.
    std::size_t parts_ = 0;
    form_part part_;
    http::error failure_ = error::bad_multipart;
    state state_ = state::preamble;
};

/// Reads the form in a request's body, as it comes. *Lifetime*: the request outlives it.
class multipart_reader {
public:
    /// *Errors*: `bad_multipart` when `Content-Type` is no form with a boundary.
    [[nodiscard]] static std::expected<multipart_reader, error> of(
        request& from, const multipart_limits& bounds = {});

    /// Goes on to the next part, past what is left of the current one; gives null at the end.
    /// *Errors*: `bad_multipart`, `too_many_fields`, what `body_reader::next` gives; each time from
    /// then on. *Lifetime*: the part is valid until the next call.
    task<std::expected<const form_part*, error>> next_part();
    /// Gives the next piece of the part; an empty one is its end.
    /// *Lifetime*: valid until the next call.
    task<std::expected<std::string_view, error>> next();
    /// Reads all of the part. *Errors*: `body_too_large`, and what `next` gives.
    task<std::expected<std::string, error>> read_part(std::size_t bytes_max);

private:
    multipart_reader(request& from, std::string_view boundary, const multipart_limits& bounds)
        : from_(&from), parser_(boundary, bounds) {}

    using event = multipart_parser::event;
    task<event> next_event();

    request* from_;
    multipart_parser parser_;
    std::string_view input_;
    bool in_part_ = false;
};

}  // namespace heph::http
