#include <heph/rt/error.hpp>

#include <cstdio>
#include <string>

namespace heph::rt {

namespace {

class category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "heph.rt"; }

    [[nodiscard]] std::string message(int code) const override {
        switch (static_cast<errc>(code)) {
            case errc::no_worker:
                return "not on a worker of a runtime: run this in an actor, or in run_on_workers";
            case errc::wrong_worker:
                return "started on another worker: keep a stream on the worker that first used it";
            case errc::conflicting_operation:
                return "two operations exclude each other: use either recv or next on a stream";
            case errc::bad_address: return "not an address such as 127.0.0.1:80 or [::1]:80";
            case errc::closed: return "closed, or moved from";
            case errc::unexpected_end: return "the peer ended the stream too early";
        }
        return "unknown error";
    }

    [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
        switch (static_cast<errc>(code)) {
            case errc::no_worker:
            case errc::wrong_worker: return std::errc::operation_not_permitted;
            case errc::conflicting_operation: return std::errc::operation_in_progress;
            case errc::bad_address: return std::errc::invalid_argument;
            case errc::closed: return std::errc::bad_file_descriptor;
            case errc::unexpected_end: return std::errc::connection_reset;
        }
        return {code, *this};
    }
};

}  // namespace

const std::error_category& error_category() noexcept {
    static const category instance;
    return instance;
}

std::error_code make_error_code(errc error) noexcept {
    return {static_cast<int>(error), error_category()};
}

int report(const error& failure) noexcept {
    (void)std::fprintf(stderr, "error: %s\n", failure.message().c_str());
    return 1;
}

int report(const std::expected<void, error>& outcome) noexcept {
    return outcome ? 0 : report(outcome.error());
}

}  // namespace heph::rt
