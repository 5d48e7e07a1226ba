#include "chrome_trace.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <type_traits>
#include <variant>
#include <vector>

namespace heph::tools {

namespace {

// In microseconds, exact to the nanosecond.
std::string microseconds(std::chrono::nanoseconds time) {
    std::array<char, 40> text{};
    const auto ns = time.count();
    (void)std::snprintf(text.data(), text.size(), "%lld.%03lld", static_cast<long long>(ns / 1000),
                        static_cast<long long>(ns % 1000));
    return text.data();
}

std::string json_value(double value) {
    if (!std::isfinite(value)) {  // JSON has none of them.
        return std::isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    }
    std::array<char, 32> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
    return {text.data(), end.ptr};
}
template <typename T>
    requires std::is_integral_v<T>
std::string json_value(T value) {
    return std::to_string(value);
}
std::string json_value(const std::string& text) { return json_string(text); }
template <typename T>
std::string json_value(const std::vector<T>& values) {
    std::string out = "[";
    for (const T& each : values) {
        if (out.size() != 1) { out += ", "; }
        out += json_value(each);
    }
    return out + "]";
}

std::string json_arguments(const rt::trace_event& event) {
    std::string out = "{\"counter\": " + std::to_string(event.place.counter);
    for (const auto& [name, value] : event.attributes) {
        out += ", " + json_string(name) + ": " +
               std::visit([](const auto& each) { return json_value(each); }, value);
    }
    return out + "}";
}

// What heph-rt calls a poll of a process.
constexpr std::string_view poll_event = "running";
// The streams of sync actors begin here.
constexpr std::uint32_t first_sync = std::uint32_t{1} << 31U;

std::string common(const rt::trace_event& event, std::uint64_t thread) {
    return "\"cat\": \"heph\", \"name\": " + json_string(event.description) +
           ", \"pid\": " + std::to_string(event.place.stream) +
           ", \"tid\": " + std::to_string(thread);
}

std::string naming(std::string_view what, std::uint32_t process, std::uint64_t thread,
                   const std::string& name) {
    return "{\"ph\": \"M\", \"name\": \"" + std::string(what) +
           "\", \"pid\": " + std::to_string(process) + ", \"tid\": " + std::to_string(thread) +
           ", \"args\": {\"name\": " + json_string(name) + "}}";
}

}  // namespace

std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (const char each : text) {
        if (each == '"' || each == '\\') {
            out += '\\';
            out += each;
        } else if (static_cast<unsigned char>(each) < 0x20) {
            std::array<char, 8> escaped{};
            (void)std::snprintf(escaped.data(), escaped.size(), "\\u%04x",
                                static_cast<unsigned>(each));
            out += escaped.data();
        } else {
            out += each;
        }
    }
    return out + '"';
}

std::string chrome_trace::begin() const {
    return "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n";
}

std::string chrome_trace::end() const {
    std::string out = "\n]";
    if (epoch_) {
        out += ", \"otherData\": {\"epoch_ns\": \"" + std::to_string(epoch_->count()) + "\"}";
    }
    return out + "}\n";
}

void chrome_trace::add_event(std::string& out, std::string_view json) {
    if (!is_first_) { out += ",\n"; }
    is_first_ = false;
    out += json;
}

std::uint64_t chrome_trace::number_of(std::uint32_t stream, std::uint64_t substream,
                                      std::string& names) {
    if (!threads_of_.contains(stream)) {
        threads_of_[stream] = 0;
        threads_[{stream, 0}] = 0;
        const std::string name = stream == 0 ? "coordinator"
                                 : stream < first_sync
                                     ? "worker " + std::to_string(stream - 1)
                                     : "sync actor " + std::to_string(stream - first_sync);
        add_event(names, naming("process_name", stream, 0, name));
        add_event(names, naming("thread_name", stream, 0, "runtime"));
    }
    const auto [place, is_new] = threads_.try_emplace({stream, substream}, 0);
    if (is_new) {
        place->second = ++threads_of_[stream];
        std::array<char, 32> name{};
        (void)std::snprintf(name.data(), name.size(), "process %llx",
                            static_cast<unsigned long long>(substream));
        add_event(names, naming("thread_name", stream, place->second, name.data()));
    }
    return place->second;
}

std::string chrome_trace::add(const rt::trace_packet& packet) {
    std::string out;
    if (const auto* option = std::get_if<rt::trace_option>(&packet)) {
        if (const auto epoch = option->epoch()) { epoch_ = epoch; }
        return out;
    }
    const auto& event = std::get<rt::trace_event>(packet);
    const std::uint64_t thread = number_of(event.place.stream, event.place.substream, out);
    if (event.place.substream == 0 || event.description == poll_event) {
        add_polls_and_waits(out, event, thread);
        forget_if_finished(event);
    } else {
        add_asynchronous(out, event, thread);
    }
    return out;
}

void chrome_trace::add_polls_and_waits(std::string& out, const rt::trace_event& event,
                                       std::uint64_t thread) {
    add_event(out, "{\"ph\": \"X\", " + common(event, thread) +
                       ", \"ts\": " + microseconds(event.place.start) +
                       ", \"dur\": " + microseconds(event.place.end - event.place.start) +
                       ", \"args\": " + json_arguments(event) + "}");
}

void chrome_trace::add_asynchronous(std::string& out, const rt::trace_event& event,
                                    std::uint64_t thread) {
    const std::string id = ", \"id\": \"" + std::to_string(event.place.stream) + '-' +
                           std::to_string(event.place.counter) + '"';
    add_event(out, "{\"ph\": \"b\", " + common(event, thread) + id +
                       ", \"ts\": " + microseconds(event.place.start) +
                       ", \"args\": " + json_arguments(event) + "}");
    add_event(out, "{\"ph\": \"e\", " + common(event, thread) + id +
                       ", \"ts\": " + microseconds(event.place.end) + "}");
}

void chrome_trace::forget_if_finished(const rt::trace_event& event) {
    for (const auto& [name, value] : event.attributes) {
        const auto* finished = std::get_if<std::uint64_t>(&value);
        if (name != "finished" || finished == nullptr || *finished == 0) { continue; }
        std::erase_if(threads_, [&event](const auto& each) {
            return each.first.second != 0 && each.first.second == event.place.substream;
        });
        return;
    }
}

}  // namespace heph::tools
