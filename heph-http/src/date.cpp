#include "chars.hpp"

#include <time.h>

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

/// Reads a date from left to right. Every step does nothing once one has failed.
class date_reader {
public:
    explicit date_reader(std::string_view text) noexcept : rest_(text) {}

    void literal(std::string_view expected) noexcept {
        if (!rest_.starts_with(expected)) { return fail(); }
        rest_.remove_prefix(expected.size());
    }
    unsigned number(std::size_t digits) noexcept {
        if (rest_.size() < digits) {
            fail();
            return 0;
        }
        unsigned value = 0;
        for (std::size_t i = 0; i < digits; ++i) {
            if (!detail::is_digit(rest_[i])) { fail(); }
            value = value * 10 + static_cast<unsigned>(rest_[i] - '0');
        }
        rest_.remove_prefix(digits);
        return failed_ ? 0 : value;
    }
    /// Reads one of the names of three letters; gives its index.
    unsigned name(std::string_view names) noexcept {
        for (std::size_t at = 0; at + 3 <= names.size() && rest_.size() >= 3; at += 3) {
            if (rest_.starts_with(names.substr(at, 3))) {
                rest_.remove_prefix(3);
                return static_cast<unsigned>(at / 3);
            }
        }
        fail();
        return 0;
    }
    [[nodiscard]] std::string_view rest() const noexcept { return rest_; }
    [[nodiscard]] bool done() const noexcept { return !failed_ && rest_.empty(); }

private:
    void fail() noexcept { failed_ = true; }

    std::string_view rest_;
    bool failed_ = false;
};

/// What stands in a date.
struct date_fields {
    int year = 0;
    unsigned month = 0;  // From 0.
    unsigned day = 0;
    unsigned hour = 0;
    unsigned minute = 0;
    unsigned second = 0;
};

void read_clock(date_reader& from, date_fields& to) noexcept {
    to.hour = from.number(2);
    from.literal(":");
    to.minute = from.number(2);
    from.literal(":");
    to.second = from.number(2);
}

std::optional<std::chrono::sys_seconds> to_time(const date_fields& fields) noexcept {
    namespace chrono = std::chrono;
    const chrono::year_month_day date(chrono::year(fields.year), chrono::month(fields.month + 1),
                                      chrono::day(fields.day));
    if (!date.ok() || fields.hour > 23 || fields.minute > 59 || fields.second > 60) { return {}; }
    return chrono::sys_seconds(chrono::sys_days(date)) + chrono::hours(fields.hour) +
           chrono::minutes(fields.minute) + chrono::seconds(fields.second);
}

// Sun, 06 Nov 1994 08:49:37 GMT
std::optional<std::chrono::sys_seconds> parse_fixed(std::string_view text) noexcept {
    date_reader from(text);
    date_fields fields;
    (void)from.name(day_names);
    from.literal(", ");
    fields.day = from.number(2);
    from.literal(" ");
    fields.month = from.name(month_names);
    from.literal(" ");
    fields.year = static_cast<int>(from.number(4));
    from.literal(" ");
    read_clock(from, fields);
    from.literal(" GMT");
    return from.done() ? to_time(fields) : std::nullopt;
}

// Sunday, 06-Nov-94 08:49:37 GMT
std::optional<std::chrono::sys_seconds> parse_rfc850(std::string_view text,
                                                     std::chrono::sys_seconds now) noexcept {
    constexpr std::array<std::string_view, 7> names{
        "Sunday, ", "Monday, ", "Tuesday, ", "Wednesday, ", "Thursday, ", "Friday, ", "Saturday, "};
    for (const std::string_view name : names) {
        if (!text.starts_with(name)) { continue; }
        date_reader from(text.substr(name.size()));
        date_fields fields;
        fields.day = from.number(2);
        from.literal("-");
        fields.month = from.name(month_names);
        from.literal("-");
        const auto short_year = static_cast<int>(from.number(2));
        from.literal(" ");
        read_clock(from, fields);
        from.literal(" GMT");
        if (!from.done()) { return {}; }
        const std::chrono::year_month_day today(std::chrono::floor<std::chrono::days>(now));
        const int this_year = static_cast<int>(today.year());
        fields.year = this_year - this_year % 100 + 100 + short_year;
        // The last year with these digits that is not more than 50 years from now.
        while (fields.year > this_year + 50) { fields.year -= 100; }
        auto time = to_time(fields);
        if (fields.year == this_year + 50 && time && *time > now + std::chrono::years(50)) {
            fields.year -= 100;
            time = to_time(fields);
        }
        return time;
    }
    return {};
}

// Sun Nov  6 08:49:37 1994
std::optional<std::chrono::sys_seconds> parse_asctime(std::string_view text) noexcept {
    date_reader from(text);
    date_fields fields;
    (void)from.name(day_names);
    from.literal(" ");
    fields.month = from.name(month_names);
    from.literal(" ");
    if (from.rest().starts_with(" ")) {
        from.literal(" ");
        fields.day = from.number(1);
    } else {
        fields.day = from.number(2);
    }
    from.literal(" ");
    read_clock(from, fields);
    from.literal(" ");
    fields.year = static_cast<int>(from.number(4));
    return from.done() ? to_time(fields) : std::nullopt;
}

// The coarse clock is read without a system call and without reading the hardware's counter.
std::chrono::sys_seconds coarse_now() noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return std::chrono::sys_seconds(std::chrono::seconds(now.tv_sec));
}

}  // namespace

std::optional<std::chrono::sys_seconds> parse_date(std::string_view text,
                                                   std::chrono::sys_seconds now) noexcept {
    if (text.size() < 5) { return {}; }
    if (text[3] == ',') { return parse_fixed(text); }
    if (text[3] == ' ') { return parse_asctime(text); }
    return parse_rfc850(text, now);
}

std::optional<std::chrono::sys_seconds> parse_date(std::string_view text) noexcept {
    return parse_date(text, coarse_now());
}

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
        std::chrono::sys_seconds second = std::chrono::sys_seconds::min();
        std::array<char, date_bytes> text;
    };
    thread_local cached last;
    const std::chrono::sys_seconds now = coarse_now();
    if (now != last.second) {
        last.text = format_date(now);
        last.second = now;
    }
    return {last.text.data(), last.text.size()};
}

}  // namespace heph::http
