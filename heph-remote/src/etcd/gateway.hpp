#pragma once

// Requests to, and answers of, etcd's version 3 JSON gateway, without I/O
// (https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/).
//
// What the gateway does that is easily missed
//     Integers of 64 bits are strings. Fields with their default are left out: a count of 0, a
//     `succeeded` that is false, the type of an event that is a PUT, a lease's TTL once it is gone.
//     Bytes are base64. An answer to a unary request is an object; one of a streaming request
//     (watch, keep-alive) is lines of {"result": …} or {"error": …}, and an error may come in such
//     a line after the status 200. The last line need not end with LF.
//     Errors have two forms. Until 3.5 a unary one is {"error": …, "code": …}, and that of a stream
//     has `grpc_code`; since 3.6 they are {"code": …, "message": …}, the latter inside "error".

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <heph/remote/etcd/error.hpp>
#include <heph/remote/etcd/messages.hpp>
#include <heph/rt/error.hpp>

namespace heph::remote::etcd::gateway {

template <typename T>
using answer = std::expected<T, rt::error>;

/// Gives the first key behind all that begin with a prefix. An empty prefix means all keys.
[[nodiscard]] std::string end_of_prefix(std::string_view prefix);

/// Which keys a request is about.
struct key_range {
    std::string first;
    std::string end;  ///< The first one that is not meant; empty for `first` alone.

    [[nodiscard]] static key_range one(std::string_view key) { return {std::string(key), {}}; }
    [[nodiscard]] static key_range prefix(std::string_view of);
};

/// Makes the bodies of requests; the paths are beside them.
[[nodiscard]] std::string put_body(std::string_view key, std::string_view value,
                                   std::int64_t lease);  // /v3/kv/put
[[nodiscard]] std::string range_body(const key_range& keys, std::int64_t revision,
                                     std::int64_t limit);        // /v3/kv/range
[[nodiscard]] std::string remove_body(const key_range& keys);    // /v3/kv/deleterange
[[nodiscard]] std::string grant_body(std::int64_t ttl_seconds);  // /v3/lease/grant
[[nodiscard]] std::string lease_body(std::int64_t id);  // /v3/lease/revoke, /v3/lease/keepalive
[[nodiscard]] std::string compact_body(std::int64_t revision);  // /v3/kv/compaction
[[nodiscard]] std::string watch_body(const key_range& keys, std::int64_t from);  // /v3/watch
[[nodiscard]] std::string login_body(std::string_view user,
                                     std::string_view password);  // /v3/auth/authenticate

/// Reads what answers a login: a token, which is good as the value of a header.
[[nodiscard]] answer<std::string> read_token(std::string_view body);

/// Tells whether an error means that a request was not done as its token was not known any more,
/// or was missing: with another one it may be done.
[[nodiscard]] bool is_token_refused(const rt::error& said) noexcept;
/// Tells whether an error of a login means that there is none: authentication is not enabled.
[[nodiscard]] bool is_login_needless(const rt::error& said) noexcept;

/// Reads what answers a put: the store's revision.
[[nodiscard]] answer<std::int64_t> read_put(std::string_view body);
[[nodiscard]] answer<range_result> read_range(std::string_view body);
/// Reads what answers a removal: how many keys there were.
[[nodiscard]] answer<std::int64_t> read_removed(std::string_view body);
[[nodiscard]] answer<transaction_result> read_transaction(std::string_view body);
[[nodiscard]] answer<lease_grant> read_grant(std::string_view body);
/// Reads the one line that answers a keep-alive: the seconds that the lease has from now on.
/// *Errors*: `lease_not_found` for the answer without a TTL that a lost lease gets.
[[nodiscard]] answer<std::int64_t> read_keep_alive(std::string_view body);

/// Reads the error of an answer with another status than 200.
[[nodiscard]] rt::error read_error(unsigned http_status, std::string_view body);

/// Reads the error in the first line of an answer with the status 200; nothing if it is none.
[[nodiscard]] std::optional<rt::error> read_stream_error(std::string_view body);

/// What a line of a watch says.
struct watch_message {
    enum class kind : std::uint8_t { created, changes, progress, canceled };

    kind what = kind::progress;
    std::int64_t revision = 0;  ///< Of the store; what is sent may be older.
    std::uint64_t cluster = 0;
    std::int64_t compact_revision = 0;  ///< Of a watch that was canceled because of compaction.
    std::string reason;                 ///< Of another cancellation.
    std::vector<watch_event> changes;
};

/// Reads a line of a watch. *Errors*: those that etcd sends in a line, and `bad_answer`.
[[nodiscard]] answer<watch_message> read_watch_line(std::string_view line);

}  // namespace heph::remote::etcd::gateway
