#include <time.h>

#include <limits>

#include <heph/http/date.hpp>

namespace heph::http {

namespace {

constexpr std::string_view day_names = "SunMonTueWedThuFriSat";
constexpr std::string_view month_names = "JanFebMarAprMayJunJulAugSepOctNovDec";

void put_name(char* to, std::string_view names, unsigned index) noexcept {
    names.substr(std::size_t{index} * 3, 3).copy(to, 3);
}

void put_number(char* to, unsigned digits, unsigned value) noexcept {
    for (unsigned i = digits; i-- > 0;) {
        to[i] = static_cast<char>('0' + value % 10);
        value /= 10;
    }
}

}  // namespace

std::array<char, date_bytes> format_date(std::chrono::sys_seconds time) noexcept {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    std::array<char, date_bytes> text{};
    std::string_view("---, -- --- ---- --:--:-- GMT").copy(text.data(), text.size());
    put_name(text.data(), day_names, std::chrono::weekday(day).c_encoding());
    put_number(text.data() + 5, 2, static_cast<unsigned>(date.day()));
    put_name(text.data() + 8, month_names, static_cast<unsigned>(date.month()) - 1);
    put_number(text.data() + 12, 4, static_cast<unsigned>(static_cast<int>(date.year())));
    put_number(text.data() + 17, 2, static_cast<unsigned>(clock.hours().count()));
    put_number(text.data() + 20, 2, static_cast<unsigned>(clock.minutes().count()));
    put_number(text.data() + 23, 2, static_cast<unsigned>(clock.seconds().count()));
    return text;
}

std::string_view current_date() noexcept {
    struct cached {
        time_t second = std::numeric_limits<time_t>::min();
        std::array<char, date_bytes> text;
    };
    thread_local cached last;
    // The coarse clock is read without a system call and without reading the hardware's counter.
    timespec now{};
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != last.second) {
        last.text = format_date(std::chrono::sys_seconds(std::chrono::seconds(now.tv_sec)));
        last.second = now.tv_sec;
    }
    return {last.text.data(), last.text.size()};
}

}  // namespace heph::http
