#pragma once

#include <fcntl.h>

namespace heph::rt::detail {

/// Does not let calls on a descriptor block for as long as it lives. Sockets on a ring do block
/// otherwise: the ring fails what has to wait on others, instead of waiting.
class without_blocking {
public:
    explicit without_blocking(int descriptor) noexcept
        : descriptor_(descriptor), flags_(::fcntl(descriptor, F_GETFL)) {
        if (is_ours()) { ::fcntl(descriptor_, F_SETFL, flags_ | O_NONBLOCK); }
    }
    ~without_blocking() {
        if (is_ours()) { ::fcntl(descriptor_, F_SETFL, flags_); }
    }
    without_blocking(const without_blocking&) = delete;
    without_blocking& operator=(const without_blocking&) = delete;

private:
    [[nodiscard]] bool is_ours() const noexcept {
        return flags_ >= 0 && (flags_ & O_NONBLOCK) == 0;
    }

    int descriptor_;
    int flags_;
};

}  // namespace heph::rt::detail
