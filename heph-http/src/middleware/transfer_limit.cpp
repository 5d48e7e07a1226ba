#include <stdexcept>

#include <heph/http/middleware/transfer_limit.hpp>

namespace heph::http {

middleware send_limit(std::chrono::milliseconds timeout, std::uint64_t bytes_per_second_min) {
    if (timeout.count() <= 0) { throw std::invalid_argument("a send time-out is more than 0"); }
    return [timeout, bytes_per_second_min](request& asked, next_handler next) {
        asked.set_send_pace(transfer_pace(timeout, bytes_per_second_min));
        return next(asked);
    };
}

middleware receive_limit(std::chrono::milliseconds grace, std::uint64_t bytes_per_second_min) {
    if (grace.count() < 0) { throw std::invalid_argument("a grace is not negative"); }
    return [grace, bytes_per_second_min](request& asked, next_handler next) {
        asked.set_receive_pace(transfer_pace(grace, bytes_per_second_min));
        return next(asked);
    };
}

}  // namespace heph::http
