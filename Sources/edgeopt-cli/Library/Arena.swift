import CEdgeOpt

/// What a `--layer pattern=number` says.
struct LayerNumber {
    let pattern: String
    let value: Double
}

/// Memory that option structs point to, for as long as this lives.
final class Arena {
    private var blocks: [UnsafeMutableRawPointer] = []

    deinit { for block in blocks { block.deallocate() } }

    /// A copy of plain values of C; nil for none.
    func copy<T>(_ values: [T]) -> UnsafeMutablePointer<T>? {
        guard !values.isEmpty else { return nil }
        let place = UnsafeMutablePointer<T>.allocate(capacity: values.count)
        place.initialize(from: values, count: values.count)
        blocks.append(UnsafeMutableRawPointer(place))
        return place
    }

    /// nil for nil.
    func pointer<T>(_ value: T?) -> UnsafePointer<T>? { value.flatMap { UnsafePointer(copy([$0])) } }

    func text(_ text: String) -> UnsafePointer<CChar>? { copy(Array(text.utf8CString)).map { UnsafePointer($0) } }

    func texts(_ list: [String]) -> UnsafePointer<UnsafePointer<CChar>?>? { UnsafePointer(copy(list.map(text))) }

    func rules(_ list: [LayerNumber]) -> UnsafePointer<eo_layer_rule>? {
        UnsafePointer(copy(list.map { eo_layer_rule(pattern: text($0.pattern), value: $0.value) }))
    }
}
