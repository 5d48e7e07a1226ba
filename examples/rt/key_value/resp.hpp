#pragma once

// The protocol of Redis, version 2 (https://redis.io/docs/reference/protocol-spec/): requests in,
// replies out. It knows no sockets.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace key_value {

/// A request: the command's name and its arguments.
using request = std::vector<std::string>;

/// Reads requests from the bytes of a connection: arrays of bulk strings, or lines of words.
///
//
// States
//     between   --'*', count-->        counting bulk strings, or between when there are none
//     between   --any other line-->    between, gives its words
//     counting  --'$', length-->       in a bulk string
//     in one    --its bytes, CR LF-->  counting, or between when it was the last: gives the request
//     any       --what does not fit--> failed, for good
class request_reader {
public:
    static constexpr std::size_t line_bytes_max = 64 * 1024;
    static constexpr std::size_t string_bytes_max = 16 * 1024 * 1024;
    static constexpr std::size_t strings_max = 64 * 1024;
    static constexpr std::size_t request_bytes_max = 32 * 1024 * 1024;

    /// Takes the next bytes.
    void feed(std::string_view bytes);

    /// Gives the next request; nothing when more bytes are needed for it.
    /// *Errors*: what is wrong, for the peer. There is no next request after that.
    [[nodiscard]] std::expected<std::optional<request>, std::string> next();

private:
    [[nodiscard]] std::optional<std::string_view> take_line();
    [[nodiscard]] std::expected<bool, std::string> begin_request(std::string_view line);

    std::string bytes_;
    std::size_t read_ = 0;
    std::size_t searched_ = 0;  // So far there is no end of a line behind `read_`.
    std::size_t strings_left_ = 0;
    std::optional<std::size_t> string_bytes_;
    std::size_t request_bytes_ = 0;
    request request_;
    std::string failed_;
};

void append_simple(std::string& out, std::string_view text);
void append_error(std::string& out, std::string_view text);
void append_integer(std::string& out, std::int64_t value);
void append_bulk(std::string& out, std::string_view bytes);
void append_nothing(std::string& out);
void append_array(std::string& out, std::size_t count);  ///< As many replies follow.

}  // namespace key_value
