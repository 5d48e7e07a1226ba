#include <heph/rt/descriptor.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "direct_descriptor.hpp"
#include "direct_table.hpp"
#include "system_call.hpp"
#include "worker_core.hpp"

namespace heph::rt {

descriptor_handle::~descriptor_handle() {
    if (descriptor_ < 0) { return; }
    if (detail::worker_core* worker = detail::current_worker()) {
        worker->driver().close_descriptor(descriptor_);
    } else if (is_direct(descriptor_)) {
        detail::drop_direct(descriptor_);
    } else {
        ::close(descriptor_);
    }
}

std::error_code descriptor_handle::make_direct() noexcept {
    return detail::make_direct(descriptor_);
}

std::error_code descriptor_handle::make_ordinary() noexcept {
    return detail::make_ordinary(descriptor_);
}

std::expected<descriptor_handle, std::error_code> duplicate(int descriptor) noexcept {
    if (is_direct(descriptor)) { return detail::to_ordinary(descriptor); }
    const int made = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (made < 0) { return std::unexpected(detail::last_error()); }
    return descriptor_handle(made);
}

}  // namespace heph::rt
