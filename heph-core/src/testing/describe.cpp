#include <cstdint>
#include <string>

#include <heph/core/testing/describe.hpp>

namespace heph::testing::detail {

std::string to_text(std::chrono::steady_clock::duration duration) {
    struct unit {
        std::int64_t nanoseconds;
        const char* name;
    };
    constexpr unit units[] = {
        {3'600'000'000'000, " h"}, {60'000'000'000, " min"}, {1'000'000'000, " s"},
        {1'000'000, " ms"},        {1'000, " us"},           {1, " ns"}};
    const std::int64_t count = std::chrono::nanoseconds(duration).count();
    for (const unit& one : units) {
        if (count != 0 && count % one.nanoseconds == 0) {
            return std::to_string(count / one.nanoseconds) + one.name;
        }
    }
    return "0 s";
}

}  // namespace heph::testing::detail
