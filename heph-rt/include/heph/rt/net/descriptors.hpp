#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <heph/rt/buffer.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/net/datagram.hpp>

namespace heph::rt::net {

/// Holds bytes that arrived over a Unix socket, and the descriptors that came along: copies of the
/// sender's, closed with this if they are not moved out. A child does not inherit them.
class message_with_descriptors : public message<> {
public:
    message_with_descriptors(message<> received, std::vector<descriptor_handle> descriptors,
                             bool lost_some) noexcept
        : message<>(std::move(received)),
          descriptors_(std::move(descriptors)),
          lost_some_(lost_some) {}

    [[nodiscard]] std::vector<descriptor_handle>& descriptors() noexcept { return descriptors_; }
    /// Tells whether more came than were expected, or than this process may have open; the others
    /// are closed.
    [[nodiscard]] bool lost_descriptors() const noexcept { return lost_some_; }

private:
    std::vector<descriptor_handle> descriptors_;
    bool lost_some_;
};

/// So many descriptors go with one message, at most.
inline constexpr std::size_t descriptors_max = 253;

}  // namespace heph::rt::net
