#include <heph/http/middleware/body_limit.hpp>

namespace heph::http {

middleware body_limit(std::uint64_t bytes_max) {
    return [bytes_max](request& asked, next_handler next) {
        asked.set_body_limit(bytes_max);
        return next(asked);
    };
}

}  // namespace heph::http
