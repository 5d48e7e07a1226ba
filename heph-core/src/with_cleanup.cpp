#include <string>

#include <heph/core/failure.hpp>
#include <heph/core/with_cleanup.hpp>

namespace heph::detail {

void log_lost_cleanup(const std::exception_ptr& lost) noexcept {
    try {
        log(log_level::error, "a cleanup failed, too: " + describe_exception(lost) +
                                  " (exception " + exception_type_name(lost) + ")");
    } catch (...) { log(log_level::error, "a cleanup failed, too"); }
}

}  // namespace heph::detail
