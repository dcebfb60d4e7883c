/// The part of a model that a message speaks of.
enum Part {
    case whole
    case operatorCode(Int)
    case subgraph(Int)
    case tensor(subgraph: Int, index: Int)
    case operation(subgraph: Int, index: Int)
    case buffer(Int)
    case metadata(Int)
    case signature(Int)
    case externalBuffer(Int)

    var text: Sentence {
        switch self {
        case .whole: "model"
        case .operatorCode(let index): "operator code \(index)"
        case .subgraph(let index): "subgraph \(index)"
        case .tensor(let subgraph, let index): "subgraph \(subgraph), tensor \(index)"
        case .operation(let subgraph, let index): "subgraph \(subgraph), operator \(index)"
        case .buffer(let index): "buffer \(index)"
        case .metadata(let index): "metadata \(index)"
        case .signature(let index): "signature \(index)"
        case .externalBuffer(let index): "external buffer \(index)"
        }
    }
}
