#pragma once

// Finding the addresses of a host by its name.
//
//     auto found = co_await heph::rt::net::resolve("example.org", 443);

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/inbox/future.hpp>
#include <heph/rt/blocking.hpp>
#include <heph/rt/net/endpoint.hpp>

namespace heph::rt::net {

/// Names what can go wrong when a name is looked up.
enum class resolve_errc {
    /// There is no such host, or it has no address.
    unknown_host = 1,
    /// No name server answered, or the answer was a temporary failure: try again later.
    temporary_failure,
    /// The name servers refuse to answer, or answer nonsense.
    failure,
    /// What should be a name has no bytes, more than 253, or a zero byte.
    bad_name,
    /// As many names are being looked up as are at a time.
    too_many_lookups,
};

/// Gives the category of `resolve_errc`, named "heph.rt.resolve".
[[nodiscard]] const std::error_category& resolve_category() noexcept;

/// Makes an error code of a `resolve_errc`.
[[nodiscard]] std::error_code make_error_code(resolve_errc error) noexcept;

/// Addresses, best first (RFC 6724), at least one.
using resolved = std::expected<std::vector<endpoint>, std::error_code>;

}  // namespace heph::rt::net

namespace heph::rt::detail {

/// Looks a name up, on the thread that calls it.
class lookup {
public:
    lookup(std::string host, std::uint16_t port);
    net::resolved operator()() const;

private:
    struct permit;

    std::string host_;
    std::uint16_t port_;
    std::shared_ptr<permit> permit_;  // Null when there are too many lookups.
};

}  // namespace heph::rt::detail

namespace heph::rt::net {

/// Completes with the addresses of a host. See `resolve`.
class [[nodiscard]] resolve_future {
public:
    using value_type = resolved;
    resolve_future(std::string host, std::uint16_t port) noexcept
        : host_(std::move(host)), port_(port) {}
    polled<value_type> poll(const waker& waker);

private:
    std::string host_;
    std::uint16_t port_;
    std::optional<blocking_future<detail::lookup>> lookup_;
};

/// Finds the addresses of a host, as the system does: by /etc/hosts, DNS, or what else
/// nsswitch.conf names. Numeric addresses, with or without brackets, are taken at once, and so are
/// `localhost` and what ends in it, which are ::1 and 127.0.0.1 (RFC 6761, section 6.3).
///
/// The system's function blocks: it runs on the runtime's pool for blocking work. At most 256 names
/// are looked up or wait for that at a time in one process.
///
/// *Errors*: `resolve_errc`, the system's. *Cancellation*: the result is dropped; a look-up that
/// runs goes on by itself, for as long as the resolver's own time-outs are (resolv.conf: 5 s times
/// 2 by default).
[[nodiscard]] inline resolve_future resolve(std::string host, std::uint16_t port) noexcept {
    return {std::move(host), port};
}

}  // namespace heph::rt::net

template <>
struct std::is_error_code_enum<heph::rt::net::resolve_errc> : std::true_type {};
