#include "direct_descriptor.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include <heph/rt/error.hpp>

#include "system_call.hpp"
#include "worker_core.hpp"

namespace heph::rt::detail {

void ordinary_descriptor::install() noexcept {
    auto made = to_ordinary(descriptor_);
    is_own_ = made.has_value();
    descriptor_ = is_own_ ? made->release() : -1;
}

void ordinary_descriptor::close() const noexcept {
    const int number = errno;
    ::close(descriptor_);
    errno = number;
}

std::expected<descriptor_handle, std::error_code> to_ordinary(int direct) noexcept {
    worker_core* const worker = current_worker();
    if (worker == nullptr) { return std::unexpected(make_error_code(errc::no_worker)); }
    if (!worker->driver().owns_direct(direct)) {
        return std::unexpected(make_error_code(errc::wrong_worker));
    }
    const int made = worker->driver().to_ordinary(direct);
    if (made < 0) { return std::unexpected(system_error(-made)); }
    return descriptor_handle(made);
}

std::error_code make_direct(int& descriptor) noexcept {
    if (descriptor < 0) { return errc::closed; }
    worker_core* const worker = current_worker();
    if (worker == nullptr) { return errc::no_worker; }
    if (is_direct(descriptor)) {
        return worker->driver().owns_direct(descriptor) ? std::error_code() : errc::wrong_worker;
    }
    const int made = worker->driver().to_direct(descriptor);
    if (made == -ENFILE) { return {}; }
    if (made < 0) { return system_error(-made); }
    worker->driver().close_file(std::exchange(descriptor, made));
    return {};
}

std::error_code make_ordinary(int& descriptor) noexcept {
    if (descriptor < 0) { return errc::closed; }
    if (!is_direct(descriptor)) { return {}; }
    auto made = to_ordinary(descriptor);
    if (!made) { return made.error(); }
    current_worker()->driver().close_descriptor(std::exchange(descriptor, made->release()));
    return {};
}

}  // namespace heph::rt::detail
